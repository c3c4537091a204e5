package command

import "slices"

// Flags say how a command behaves.
type Flags uint64

// The flags of a command. All but the last group are shown by COMMAND INFO under the names in flagNames.
const (
	Write           Flags = 1 << iota // changes data
	ReadOnly                          // reads data
	DenyOOM                           // refused when memory is short
	Admin                             // administration
	PubSub                            // belongs to publish and subscribe
	NoScript                          // refused inside scripts
	Blocking                          // may make the client wait
	Loading                           // allowed while data is being loaded
	Stale                             // allowed on a replica without a link to its primary
	SkipMonitor                       // not shown by MONITOR
	SkipSlowlog                       // not recorded in the slow log
	Asking                            // accepted in an importing slot without ASKING
	Fast                              // constant or logarithmic time
	NoAuth                            // allowed before authentication
	MayReplicate                      // may be replicated although it does not write
	NoMandatoryKeys                   // has keys, but can be called without
	Protected                         // needs a setting to be allowed
	NoAsyncLoading                    // refused while data is being loaded in the background
	NoMulti                           // refused inside transactions
	MovableKeys                       // keys are not all at the positions of the old form
	AllowBusy                         // allowed while a script is running for too long
	SentinelOnly                      // reserved, never served

	// AllKeys marks a command that has no keys and walks the shards itself, locking one after another. It is not
	// shown to clients.
	AllKeys
)

// flagNames are the names of the shown flags in the order of COMMAND INFO.
var flagNames = []struct {
	flag Flags
	name string
}{
	{Write, "write"},
	{ReadOnly, "readonly"},
	{DenyOOM, "denyoom"},
	{Admin, "admin"},
	{PubSub, "pubsub"},
	{NoScript, "noscript"},
	{Blocking, "blocking"},
	{Loading, "loading"},
	{Stale, "stale"},
	{SkipMonitor, "skip_monitor"},
	{SkipSlowlog, "skip_slowlog"},
	{Asking, "asking"},
	{Fast, "fast"},
	{NoAuth, "no_auth"},
	{MayReplicate, "may_replicate"},
	{NoMandatoryKeys, "no_mandatory_keys"},
	{NoAsyncLoading, "no_async_loading"},
	{NoMulti, "no_multi"},
	{MovableKeys, "movablekeys"},
	{AllowBusy, "allow_busy"},
}

// Names lists the shown flags.
func (f Flags) Names() []string {
	var names []string
	for _, row := range flagNames {
		if f&row.flag != 0 {
			names = append(names, row.name)
		}
	}
	return names
}

// categoryOrder is the order in which access categories are shown.
var categoryOrder = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
	"pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// categories adds to a row's own access categories those that follow from its flags, in the order they are shown.
func categories(own []string, f Flags) []string {
	has := func(name string) bool { return slices.Contains(own, name) }
	implied := map[string]bool{
		"write":     f&Write != 0,
		"read":      f&ReadOnly != 0 && !has("scripting"),
		"admin":     f&Admin != 0,
		"dangerous": f&Admin != 0,
		"pubsub":    f&PubSub != 0,
		"fast":      f&Fast != 0,
		"slow":      f&Fast == 0,
		"blocking":  f&Blocking != 0,
	}
	var all []string
	for _, name := range categoryOrder {
		if has(name) || implied[name] {
			all = append(all, name)
		}
	}
	return all
}
