package egal

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// Build tells what was built, and from what.
type Build struct {
	// Version is the module's version, "devel" for a build from a working tree.
	Version string `json:"version"`
	// Revision is the commit; empty if unknown.
	Revision string `json:"revision"`
	// Time is that of the commit, RFC 3339; empty if unknown.
	Time string `json:"time"`
	// Modified tells that the working tree differed from the commit.
	Modified bool `json:"modified"`
	// Go is the version of the toolchain.
	Go string `json:"go"`
	// Platform is system/architecture.
	Platform string `json:"platform"`
}

const modulePath = "github.com/egalcluster/egal"

// Version reads the build's description from the running binary.
func Version() Build {
	b := Build{Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	module := info.Main
	for _, dependency := range info.Deps {
		if dependency.Path == modulePath {
			module = *dependency
		}
	}
	if module.Path == modulePath && module.Version != "(devel)" {
		b.Version = cmp.Or(module.Version, b.Version)
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.time":
			b.Time = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}
