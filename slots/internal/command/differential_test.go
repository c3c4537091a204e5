package command

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/egalcluster/egal/slots/internal/keyspace"
)

var (
	differentialSeed  = flag.Uint64("differential.seed", 1, "seed of the command stream of TestDifferential")
	differentialCount = flag.Int("differential.count", 25_000, "length of the command stream of TestDifferential")
)

// TestDifferential sends one seeded stream of commands with nasty arguments to a real server and to the table, and
// compares the bytes of all replies.
func TestDifferential(t *testing.T) {
	for _, protocol := range []int{2, 3} {
		t.Run("RESP"+strconv.Itoa(protocol), func(t *testing.T) {
			d := &differ{t: t, theirs: startRedis(t), ours: newServer(t), generator: newGenerator(*differentialSeed)}
			d.foreign = foreignCommands(d.theirs, d.ours.table)
			d.theirs.do("HELLO", strconv.Itoa(protocol))
			d.ours.session.Protocol = protocol
			results, faults := map[string]int{}, 0
			for i := range *differentialCount {
				if d.step(i, results) {
					continue
				}
				if faults++; faults == 12 {
					t.Fatalf("replay: go test ./slots/internal/command -run '^TestDifferential$' -differential.seed=%d", *differentialSeed)
				}
			}
			t.Logf("%d commands: %d errors, %d nulls, %d others", *differentialCount, results["error"], results["null"], results["other"])
			if results["error"] < *differentialCount/20 || results["other"] < *differentialCount/4 {
				t.Errorf("the stream is one-sided: %v", results)
			}
		})
	}
}

// differ holds both sides of the comparison.
type differ struct {
	t         *testing.T
	theirs    *redis
	ours      *server
	generator *generator
	foreign   map[string]bool
}

// step runs one command of the stream on both sides.
func (d *differ) step(i int, results map[string]int) bool {
	switch d.generator.random.IntN(200) {
	case 0:
		database := d.generator.random.IntN(3)
		d.theirs.do("SELECT", strconv.Itoa(database))
		d.ours.session.Database = database
	case 1, 2:
		d.makeList(d.generator.key())
	}
	args := d.generator.command()
	name := strings.ToLower(string(args[0]))
	if d.foreign[name] || name == "command" && len(args) > 2 && d.foreign[strings.ToLower(string(args[2]))] {
		return true // a nasty word is the name of a command that this table does not have
	}
	if name == "dbsize" || name == "randomkey" || name == "keys" || name == "scan" {
		d.meetAll()
	}
	d.ours.now = time.Now().UnixMilli()
	theirs, ours := d.theirs.call(args...), d.ours.call(args...)
	results[class(theirs)]++
	if same(name, args, theirs, ours) {
		return true
	}
	d.t.Errorf("command %d: %q\n theirs %q\n ours   %q", i, args, shortened(theirs), shortened(ours))
	return false
}

// meetAll lets both sides drop what has expired.
func (d *differ) meetAll() {
	args := append([][]byte{[]byte("EXISTS")}, d.generator.keys...)
	d.ours.now = time.Now().UnixMilli()
	if theirs, ours := d.theirs.call(args...), d.ours.call(args...); !bytes.Equal(theirs, ours) {
		d.t.Errorf("EXISTS: theirs %q, ours %q", theirs, ours)
	}
}

// makeList stores a value of another type under a key.
func (d *differ) makeList(key []byte) {
	d.theirs.call([]byte("DEL"), key)
	d.theirs.call([]byte("RPUSH"), key, []byte("x"))
	k := d.ours.store.Key(key)
	shard := d.ours.store.ShardOf(k.Slot)
	shard.Lock()
	shard.Database(d.ours.session.Database).Set(d.ours.now, k, keyspace.TypeList, []byte("x"), 0)
	shard.Unlock()
}

func class(reply []byte) string {
	switch {
	case reply[0] == '-':
		return "error"
	case reply[0] == '_' || bytes.HasPrefix(reply, []byte("$-1")) || bytes.HasPrefix(reply, []byte("*-1")):
		return "null"
	}
	return "other"
}

func shortened(b []byte) []byte { return b[:min(len(b), 300)] }

// same compares two replies. Exempt are moments (the two sides read the clock at different times), random choices,
// the order of walks, and what Command.Differs admits.
func same(name string, args [][]byte, theirs, ours []byte) bool {
	if bytes.Equal(theirs, ours) {
		return true
	}
	if name == "command" && class(theirs) == "other" { // TestTableAgainstServer compares the rows
		return class(ours) == "other"
	}
	if class(theirs) != class(ours) {
		return false
	}
	switch name {
	case "ttl", "expiretime":
		return near(theirs, ours, 1)
	case "pttl", "pexpiretime":
		return near(theirs, ours, 1000)
	case "randomkey":
		return class(ours) == "other"
	case "keys":
		return slices.Equal(sortedReply(theirs), sortedReply(ours))
	case "scan":
		return slices.Equal(sortedReply(theirs)[1:], sortedReply(ours)[1:]) || !walksAll(args)
	case "object":
		return class(ours) == "other" && admitted(args, string(theirs), string(ours))
	}
	return false
}

// admitted tells whether an answer of OBJECT may differ.
func admitted(args [][]byte, theirs, ours string) bool {
	switch strings.ToLower(string(args[1])) {
	case "refcount", "help":
		return true
	case "encoding":
		return theirs == "$3\r\nraw\r\n" || theirs == "$6\r\nembstr\r\n" || strings.Contains(theirs, "list")
	}
	return false
}

// walksAll reports whether a call of SCAN surely walks everything in one step.
func walksAll(args [][]byte) bool {
	return bytes.Equal(args[1], []byte("0")) && slices.ContainsFunc(args, func(b []byte) bool { return string(b) == "1000000" })
}

func near(theirs, ours []byte, tolerance float64) bool {
	a, errA := strconv.ParseInt(strings.TrimSpace(string(theirs[1:])), 10, 64)
	b, errB := strconv.ParseInt(strings.TrimSpace(string(ours[1:])), 10, 64)
	return errA == nil && errB == nil && a > 0 && b > 0 && math.Abs(float64(a-b)) <= tolerance
}

// sortedReply cuts an aggregate into its elements and sorts them, nested ones too.
func sortedReply(reply []byte) []string {
	r := bufio.NewReader(bytes.NewReader(reply))
	header, _ := r.ReadString('\n')
	elements := []string{header}
	for {
		element, err := readReply(nil, r)
		if err != nil {
			break
		}
		if element[0] == '*' {
			element = []byte(strings.Join(sortedReply(element), ""))
		}
		elements = append(elements, string(element))
	}
	slices.Sort(elements[1:])
	return elements
}

// foreignCommands are the commands that the other side has and the table has not.
func foreignCommands(theirs *redis, ours *Table) map[string]bool {
	foreign := map[string]bool{}
	for _, element := range sortedReply([]byte(theirs.do("COMMAND", "LIST")))[1:] {
		_, name, _ := strings.Cut(strings.TrimSpace(element), "\r\n")
		foreign[name] = ours.Lookup([]byte(name)) == nil
	}
	return foreign
}

// generator makes commands out of templates. The words in capitals stand for pools: K and L key, V value, I integer, F
// float, P pattern, T time to live, A Unix time, O offset, D database, C cursor, N count, Y type, W command name.
type generator struct {
	random *rand.Rand
	keys   [][]byte
	lives  int
}

type template struct {
	words   string
	options []string
}

var expiryWords = []string{"ex T", "px T", "exat A", "pxat A", "EX T", "Px T", "ex", "ex T ex T"}

var templates = []template{
	{"set K V", nil},
	{"set K V", append([]string{"nx", "XX", "get", "keepttl", "persist", "bogus", "NX", "GET"}, expiryWords...)},
	{"set K F", nil},
	{"set K I", nil},
	{"get K", nil},
	{"strlen K", nil},
	{"getset K V", nil},
	{"getdel K", nil},
	{"setnx K V", nil},
	{"mget K L K", nil},
	{"mset K V K V", nil},
	{"msetnx K V K V", nil},
	{"mset K V K", nil},
	{"setex K T V", nil},
	{"psetex K T V", nil},
	{"getex K", append([]string{"persist", "PERSIST", "keepttl", "nx"}, expiryWords...)},
	{"getrange K O O", nil},
	{"substr K O O", nil},
	{"setrange K O V", nil},
	{"append K V", nil},
	{"append K I", nil},
	{"incr K", nil},
	{"decr K", nil},
	{"incrby K I", nil},
	{"decrby K I", nil},
	{"incrbyfloat K F", nil},
	{"incrbyfloat K F", nil},
	{"incrbyfloat K I", nil},
	{"lcs K L", []string{"len", "idx", "IDX", "withmatchlen", "minmatchlen I", "minmatchlen", "bogus"}},
	{"del K L", nil},
	{"unlink K", nil},
	{"exists K L K", nil},
	{"touch K L", nil},
	{"expire K T", []string{"nx", "xx", "GT", "lt", "bogus"}},
	{"pexpire K T", []string{"nx", "xx", "gt", "LT"}},
	{"expireat K A", []string{"nx", "xx", "gt", "lt"}},
	{"pexpireat K A", []string{"nx", "xx", "gt", "lt"}},
	{"ttl K", nil},
	{"pttl K", nil},
	{"expiretime K", nil},
	{"pexpiretime K", nil},
	{"persist K", nil},
	{"type K", nil},
	{"keys P", nil},
	{"randomkey", nil},
	{"dbsize", nil},
	{"scan 0 count 1000000", []string{"match P", "type Y"}},
	{"scan C", []string{"match P", "count N", "type Y", "bogus", "match"}},
	{"rename K L", nil},
	{"renamenx K L", nil},
	{"copy K L", []string{"replace", "db D", "REPLACE", "db"}},
	{"move K D", nil},
	{"object encoding K", nil},
	{"object refcount K", nil},
	{"object bogus K", nil},
	{"object", nil},
	{"command getkeys W K V", []string{"K", "V", "get", "ex T"}},
	{"command getkeysandflags W K V", []string{"K", "V", "get", "GET"}},
	{"command info bogus", nil},
	{"command docs bogus", nil},
	{"command bogus V", nil},
	{"command count V", nil},
	{"command list V", nil},
	{"command list filterby V I", nil},
	{"command list filterby module V", nil},
	{"V I V", nil},
	{"bogus V I", nil},
}

// rareTemplates empty the databases.
var rareTemplates = []template{
	{"flushdb", []string{"async", "sync", "bogus"}}, {"flushall", []string{"ASYNC", "SYNC", "bogus"}}, {"flushall sync V", nil},
}

func newGenerator(seed uint64) *generator {
	g := &generator{random: rand.New(rand.NewPCG(seed, 0xd1ff))}
	for _, name := range []string{
		"", "a", "b", "abc", "k{tag}", "other{tag}", "*", "[a]", "a\x00b", "\xff\xfe", "line\r\nbreak", strings.Repeat("long", 80), "a-b", "\\",
	} {
		g.keys = append(g.keys, []byte(name))
	}
	return g
}

func (g *generator) key() []byte { return g.keys[g.random.IntN(len(g.keys))] }

func (g *generator) pick(words ...string) []byte { return []byte(words[g.random.IntN(len(words))]) }

// command makes one command; one in eight is damaged.
func (g *generator) command() [][]byte {
	from := templates
	if g.random.IntN(300) == 0 {
		from = rareTemplates
	}
	t := from[g.random.IntN(len(from))]
	text := t.words
	if len(t.options) > 0 {
		for range g.random.IntN(4) {
			text += " " + t.options[g.random.IntN(len(t.options))]
		}
	}
	var args [][]byte
	for word := range strings.FieldsSeq(text) {
		args = append(args, g.word(word))
	}
	if g.random.IntN(8) > 0 {
		return args
	}
	at := g.random.IntN(len(args))
	switch g.random.IntN(4) {
	case 0:
		if len(args) > 1 {
			args = slices.Delete(args, at, at+1)
		}
	case 1:
		args = slices.Insert(args, at, args[at])
	case 2:
		args[at] = g.nasty()
	default:
		args = append(args, g.nasty())
	}
	return args
}

// nasty gives a word that fits nowhere. No small positive number is among them: as a time to live it would let the
// two sides expire a key at different moments.
func (g *generator) nasty() []byte {
	return g.pick("", " ", "\x00", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "0", "-0", "+1000000000",
		"01", "1e400", "nan", "inf", "0x10", "nx", "get", "\r\n", "$-1", "*", "[", "\xc3\x28", strings.Repeat("x", 200), "select", "1000000000x")
}

func (g *generator) word(kind string) []byte {
	switch kind {
	case "K", "L":
		return g.key()
	case "V":
		return g.value()
	case "I":
		return g.integer()
	case "F":
		return g.float()
	case "P":
		return g.pattern()
	case "T":
		return g.life()
	case "A":
		return g.pick("0", "-1", "1", "1000000", "4102444800", "4102444800000", "4102444801", "9223372036854775807",
			"9223372036854775", "9223372036854776", "x", "", "-9223372036854775808")
	case "O":
		return g.pick("0", "1", "2", "-1", "-2", "5", "-5", "44", "45", "100", "-100", "3000", "536870912", "9223372036854775807",
			"-9223372036854775808", "x", "1.0", "", "9223372036854775808")
	case "D":
		return g.pick("0", "1", "2", "15", "16", "-1", "x", "2147483648", "-2147483649", "9223372036854775808", "")
	case "C":
		return g.pick("0", "", "x", "-1", "+0", "00", "1x", " 1", "18446744073709551615", "18446744073709551616", "-")
	case "N":
		return g.pick("0", "1", "10", "-1", "x", "1000000", "9223372036854775807", "9223372036854775808")
	case "Y":
		return g.pick("string", "STRING", "list", "zset", "bogus", "")
	case "W":
		return g.pick("get", "set", "mset", "MGET", "copy", "rename", "object", "lcs", "append", "del", "keys", "bogus", "getex", "type")
	}
	return []byte(kind)
}

// life gives a time to live. Each call gives another one, and no two are near each other in any unit, so that GT and
// LT do not depend on the milliseconds between two commands.
func (g *generator) life() []byte {
	if g.random.IntN(4) == 0 {
		return g.pick("0", "-1", "x", "", "1.5", " 100000000", "9223372036854775807", "9223372036854775", "-9223372036854775808",
			"9223372036854775808", "9223370000000000", "-9223372036854776")
	}
	g.lives++
	order := uint64(g.lives) * 7919 % 20011
	return []byte(strconv.FormatUint(1_000_000*order+1_500_000, 10))
}

func (g *generator) value() []byte {
	switch g.random.IntN(8) {
	case 0:
		return g.integer()
	case 1:
		return g.float()
	case 2:
		return bytes.Repeat([]byte{byte('a' + g.random.IntN(26))}, []int{43, 44, 45, 64, 1000, 2000}[g.random.IntN(6)])
	case 3:
		b := make([]byte, g.random.IntN(30))
		for i := range b {
			b[i] = byte(g.random.Uint32())
		}
		return b
	case 4:
		b := make([]byte, g.random.IntN(40))
		for i := range b {
			b[i] = "abc"[g.random.IntN(3)]
		}
		return b
	}
	return g.pick("", "hello", "world", "0", "-0", "00", "+1", " 1", "1 ", "\r\n", "ohmytext", "mynewtext", "foo\x00bar", "é")
}

func (g *generator) integer() []byte {
	switch g.random.IntN(4) {
	case 0:
		return strconv.AppendInt(nil, int64(g.random.Uint64()), 10)
	case 1:
		return g.pick("9223372036854775807", "-9223372036854775808", "9223372036854775806", "9223372036854775808", "-9223372036854775809",
			"4611686018427387904", "x", "", "1.0", "1e3", "-", "+5", "007")
	}
	return strconv.AppendInt(nil, int64(g.random.IntN(200)-100), 10)
}

func (g *generator) float() []byte {
	switch g.random.IntN(8) {
	case 0:
		return g.pick("0", "-0", "0.0", "inf", "-INF", "+infinity", "nan", "nan(1)", "1e400", "-1e400", "1e4932", "1e4933", "1.18973149535723176502e+4932",
			"1.2e4932", "1e-4940", "1e-4951", "1e-5000", "0x1p3", "0x10", "-0X.8p1", "0x", "0x1p", "1e", "1e+", ".5", "5.", ".", "", " 1", "1 ", "1_000", "+1.5",
			"0b1", "1d5", "0e99999999", "3.0e3", "1e99999999999999999999", "1e-99999999999999999999", "infi", "i", "--1", "+-1",
			"179769313486231570000000000000000000000", "0.1", "0.2", "0.3", "5.0e3", "1.1\x00")
	case 1:
		return strconv.AppendFloat(nil, math.Float64frombits(g.random.Uint64()), 'g', -1, 64)
	case 2:
		return fmt.Appendf(nil, "%d.%d", g.random.IntN(1000), g.random.Uint64())
	case 3:
		return fmt.Appendf(nil, "%.*fe%d", g.random.IntN(20), g.random.NormFloat64(), g.random.IntN(40)-20)
	case 4:
		return fmt.Appendf(nil, "%.*f", g.random.IntN(25), g.random.NormFloat64()*math.Pow(10, float64(g.random.IntN(18))))
	}
	return fmt.Appendf(nil, "%.*f", g.random.IntN(5), g.random.NormFloat64()*100)
}

func (g *generator) pattern() []byte {
	if g.random.IntN(2) == 0 {
		return g.pick("*", "**", "?", "a*", "*a", "[ab]", "[^ab]*", "[a-c]*", "[c-a]", "\\*", "[", "[^", "[a", "[a-", "[\\]]", "\\", "*\\", "", "*{tag}",
			"a?c", "*long*", "[]a]", "[[]a]", "[*]", "line*", "?*", "*?", "a\\x00b", "[a-]", "\\\\", "*[\xff]*", "*b*c", "[\\[]*", "k{tag}")
	}
	b := make([]byte, g.random.IntN(7))
	for i := range b {
		b[i] = "ab*?[]^-\\lt{c"[g.random.IntN(13)]
	}
	return b
}
