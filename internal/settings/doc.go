// Package settings is the one registry of what can be configured: each setting's key, type, default, range, whether it
// changes while the node runs, and its documentation, as data. The configuration file, the environment, the flags of
// the command line and the reference page are made from it.
//
// # Model
//
// A [Registry] is immutable. [Values] are one configuration: every setting has a value and an [Origin]. Sources may be
// read in any order, since a higher [Source] wins: flag over environment over file over default.
//
//	v := settings.New().Values()
//	err := errors.Join(v.ReadFile("egal.yaml", content), v.ReadEnvironment(os.Environ()), v.Set("fabric.listen", ":7946", …))
//	listen := v.String("fabric.listen")
//
// The file is YAML with one level of sections: "fabric:" and below it "listen: 127.0.0.1:7946". The environment has
// EGAL_FABRIC_LISTEN for it. [Registry.Edit] changes one setting of a file and leaves the rest of its text alone. Sizes have units of 1,024 (10MiB), durations those of Go (500ms).
//
// [Running] is the configuration of a running node: [Running.Change] writes to the node's file and turns the [Knob] of
// each setting that is hot; [Running.Reload] takes what a person has written there.
//
// # Errors
//
// Nothing stops at the first fault: all are joined, each a [*Fault] that says where (file and line, variable, flag),
// what and, where there is one, the nearest key. A key that nobody knows is a fault, and so is one given twice.
//
// # Concurrency
//
// A Registry may be shared. Values belong to one goroutine until they are complete; then they may be read by many. A
// Running is safe for concurrent use.
//
// # Limits
//
// A file has at most 1 MiB, one document, no aliases and no more than 256 levels or blanks of indentation; a list has at
// most 256 items; a value has at most 4,096 bytes.
package settings
