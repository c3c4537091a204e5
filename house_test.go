package egal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file is the plan of the house as data, and the tests that hold the code to it. Changing the plan needs a
// decision record in docs/decisions/.

const module = "github.com/egalcluster/egal"

// room is one row of the plan. A package may import the rooms on lower floors, subject to the rules in mayImport,
// and the third-party modules listed, no others.
type room struct {
	floor      float64 // n.5: the second half of floor n, which may use the first half
	pure       bool    // no I/O, clock, goroutine, channel, lock, logging or hidden randomness
	thirdParty []string
}

var plan = map[string]room{
	"internal/core":      {floor: 0, pure: true},
	"internal/hlc":       {floor: 0, pure: true},
	"internal/wire":      {floor: 0, pure: true},
	"internal/invariant": {floor: 0, pure: true},
	"internal/slab":      {floor: 0.5, thirdParty: []string{"golang.org/x/sys"}},
	"internal/loop":      {floor: 0.5, thirdParty: []string{"golang.org/x/sys"}},
	"internal/certs":     {floor: 0.5},
	"internal/durable":   {floor: 0.5, thirdParty: []string{"github.com/cockroachdb/pebble/v2/vfs"}},
	"internal/sim":       {floor: 0.5, thirdParty: []string{"github.com/cockroachdb/pebble/v2/vfs"}},

	"fabric/gossip":     {floor: 1, pure: true},
	"fabric/gossip/lab": {floor: 1.5, pure: true}, // the second half of floor 1: uses gossip and sim
	"fabric/quorum":     {floor: 1.5, pure: true}, // the second half of floor 1: uses the types of gossip
	"fabric/transport":  {floor: 1, thirdParty: []string{"golang.org/x/crypto", "golang.org/x/sys/cpu"}},

	"fabric": {floor: 2},

	"internal/settings": {floor: 3, thirdParty: []string{"go.yaml.in/yaml/v3"}},
	"internal/access":   {floor: 3, thirdParty: []string{"golang.org/x/crypto"}},
	"internal/jobs":     {floor: 3},

	"slots/internal/resp":     {floor: 4, pure: true},
	"slots/internal/keyspace": {floor: 4, pure: true},
	"slots/internal/topology": {floor: 4.5, pure: true}, // the second half of floor 4: uses the slot of keyspace
	"slots/internal/rdb":      {floor: 4, pure: true},
	"ring/internal/native": {floor: 4, pure: true, thirdParty: []string{
		"github.com/pierrec/lz4/v4", "github.com/golang/snappy",
	}},
	"ring/internal/topology":  {floor: 4, pure: true},
	"actor/internal/sharding": {floor: 4, pure: true},
	"actor/internal/codec":    {floor: 4, pure: true},
	"actor/internal/crdt":     {floor: 4, pure: true},

	"slots/internal/command": {floor: 5, pure: true},
	"slots/internal/script":  {floor: 5, thirdParty: []string{"github.com/yuin/gopher-lua"}},
	"ring/internal/cql": {floor: 5, pure: true, thirdParty: []string{
		"github.com/google/uuid", "gopkg.in/inf.v0",
	}},
	"ring/internal/coordinator": {floor: 5, pure: true},
	"ring/internal/table":       {floor: 5, thirdParty: []string{"github.com/cockroachdb/pebble/v2"}},

	"slots": {floor: 6, thirdParty: []string{"golang.org/x/sys"}},
	"ring":  {floor: 6},
	"actor": {floor: 6},

	"": {floor: 7}, // package egal

	"web":     {floor: 8, thirdParty: []string{"github.com/prometheus/client_golang"}},
	"testkit": {floor: 8},
	"cmd/egal": {floor: 9, thirdParty: []string{
		"github.com/spf13/cobra", "github.com/spf13/pflag", "go.yaml.in/yaml/v3",
	}},
}

// structures stand side by side and never know of each other.
var structures = []string{"slots", "ring", "actor"}

// The ratchet: the longest may shrink, not grow.
const (
	longestFile       = 900
	longestFunction   = 150
	mostDirectModules = 25
)

type listed struct {
	ImportPath string
	Dir        string
	Export     string
	GoFiles    []string
	Imports    []string
	Standard   bool
	DepOnly    bool
}

// house lists our packages with the export data of everything they use.
func house(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Imports,Standard,DepOnly", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func ours(p listed) bool {
	return p.ImportPath == module || strings.HasPrefix(p.ImportPath, module+"/")
}

func roomOf(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range house(t) {
		if !ours(p) {
			continue
		}
		for _, complaint := range complaintsAboutImports(roomOf(p.ImportPath), p.Imports) {
			t.Error(complaint)
		}
	}
}

// complaintsAboutImports says which imports of a room the plan forbids.
func complaintsAboutImports(name string, imports []string) []string {
	self, known := plan[name]
	if !known {
		return []string{fmt.Sprintf("package %q is not in the plan of the house", name)}
	}
	var complaints []string
	for _, imported := range imports {
		switch {
		case imported == module || strings.HasPrefix(imported, module+"/"):
			if reason := mayImport(name, self, roomOf(imported)); reason != "" {
				complaints = append(complaints, fmt.Sprintf("%s imports %s: %s", name, roomOf(imported), reason))
			}
		case strings.Contains(strings.Split(imported, "/")[0], "."):
			if !slices.ContainsFunc(self.thirdParty, func(allowed string) bool {
				return imported == allowed || strings.HasPrefix(imported, allowed+"/")
			}) {
				complaints = append(complaints, fmt.Sprintf("%s imports %s: not among its third-party packages", name, imported))
			}
		case imported == "unsafe" && name != "internal/slab":
			complaints = append(complaints, name+" imports unsafe: only internal/slab may")
		}
	}
	return complaints
}

func mayImport(name string, self room, target string) (reason string) {
	other, known := plan[target]
	switch {
	case !known:
		return "not in the plan of the house"
	case other.floor >= self.floor:
		return fmt.Sprintf("floor %g may use lower floors only, this is floor %g", self.floor, other.floor)
	case self.floor >= 4 && self.floor < 6 && other.floor == 3:
		return "rooms of a structure use floors 0 to 2 and their own structure"
	case self.floor >= 4 && self.floor < 5 && other.floor == 2:
		return "floor 4 uses floor 0 and the types of gossip and quorum"
	}
	for _, structure := range structures {
		inside := func(room string) bool { return room == structure || strings.HasPrefix(room, structure+"/") }
		if inside(target) && !inside(name) && self.floor < 7 {
			return "structures never know of each other"
		}
	}
	return ""
}

func TestPureRoomsArePure(t *testing.T) {
	packages := house(t)
	exports := map[string]string{}
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	for _, p := range packages {
		if !ours(p) || !plan[roomOf(p.ImportPath)].pure {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		for _, complaint := range complaintsAboutPurity(fset, p.ImportPath, files, exports) {
			t.Error(complaint)
		}
	}
}

var impureImports = []string{
	"net", "os", "sync", "context", "log", "log/slog", "crypto/rand", "io/fs", "syscall", "runtime", "unsafe",
	"net/http", "os/exec", "os/signal", "sync/atomic", "io/ioutil", "testing",
}

// impureCalls are functions of otherwise pure packages that bring a clock or hidden randomness.
var impureCalls = map[string][]string{
	"time":         {"Now", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", "Since", "Until"},
	"hash/maphash": {"MakeSeed"},
	"math/rand/v2": {
		"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN", "N",
		"Float32", "Float64", "ExpFloat64", "NormFloat64", "Perm", "Shuffle",
	},
	"math/rand": {"Int", "Intn", "Int31", "Int31n", "Int63", "Int63n", "Uint32", "Uint64", "Float32", "Float64", "Perm", "Shuffle", "Seed", "Read"},
}

// orderFree is the comment that a range over a map carries in a pure room, with the reason why its order cannot show.
const orderFree = "order-free:"

func complaintsAboutPurity(fset *token.FileSet, importPath string, files []*ast.File, exports map[string]string) []string {
	var complaints []string
	complain := func(at token.Pos, what string, args ...any) {
		where := fset.Position(at)
		complaints = append(complaints, fmt.Sprintf("%s/%s:%d: %s",
			roomOf(importPath), filepath.Base(where.Filename), where.Line, fmt.Sprintf(what, args...)))
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", lookup), Error: func(err error) {}}
	_, _ = config.Check(importPath, fset, files, info) // errors are the compiler's to report

	for _, file := range files {
		excused := excusedLines(fset, file)
		for _, spec := range file.Imports {
			if name, _ := strconv.Unquote(spec.Path.Value); slices.Contains(impureImports, name) {
				complain(spec.Pos(), "a pure room imports %s", name)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				complain(n.Pos(), "a pure room starts a goroutine")
			case *ast.SelectStmt:
				complain(n.Pos(), "a pure room selects")
			case *ast.ChanType:
				complain(n.Pos(), "a pure room has a channel")
			case *ast.RangeStmt:
				if of := info.TypeOf(n.X); of != nil {
					if _, isMap := of.Underlying().(*types.Map); isMap && !excused[fset.Position(n.Pos()).Line] {
						complain(n.Pos(), "a range over a map; sort, or say why its order cannot show: // %s …", orderFree)
					}
				}
			case *ast.Ident:
				object := info.Uses[n]
				if object == nil || object.Pkg() == nil || object.Parent() != object.Pkg().Scope() {
					break
				}
				if slices.Contains(impureCalls[object.Pkg().Path()], object.Name()) {
					complain(n.Pos(), "a pure room calls %s.%s", object.Pkg().Path(), object.Name())
				}
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					complain(n.Pos(), "init")
				}
			}
			return true
		})
	}
	return complaints
}

// excusedLines are the lines that carry an order-free comment or stand right below one.
func excusedLines(fset *token.FileSet, file *ast.File) map[int]bool {
	lines := map[int]bool{}
	for _, group := range file.Comments {
		if strings.Contains(group.Text(), orderFree) {
			lines[fset.Position(group.Pos()).Line] = true
			lines[fset.Position(group.End()).Line+1] = true
		}
	}
	return lines
}

// The checkers are tested by planted faults: each must turn red.
func TestPlantedFaultsAreFound(t *testing.T) {
	for name, imports := range map[string][]string{
		"internal/core":           {module + "/internal/hlc"},                   // its own floor
		"fabric/gossip":           {module + "/fabric/transport"},               // its own floor
		"fabric":                  {module + "/slots"},                          // upwards
		"slots":                   {module + "/ring"},                           // another structure
		"slots/internal/keyspace": {module + "/internal/settings"},              // not for rooms
		"slots/internal/command":  {"golang.org/x/sys/unix"},                    // third party
		"slots/internal/resp":     {"unsafe"},                                   // only slab
		"testkit":                 {"github.com/cockroachdb/pebble/v2/vfs"},     // no third party at all
		"internal/common":         {},                                           // no such room
		"web":                     {module + "/cmd/egal"},                       // upwards
		"internal/loop":           {module + "/internal/durable"},               // its own half floor
		"ring/internal/cql":       {module + "/slots/internal/resp"},            // another structure's room
		"internal/durable":        {"github.com/cockroachdb/pebble/v2/sstable"}, // more than vfs
	} {
		if len(complaintsAboutImports(name, imports)) == 0 {
			t.Errorf("%s importing %v went unnoticed", name, imports)
		}
	}
	exports := map[string]string{}
	for _, p := range house(t) {
		exports[p.ImportPath] = p.Export
	}
	for what, source := range map[string]string{
		"a clock":         `import "time"; var X = func() any { return time.Now() }`,
		"a hidden clock":  `import t "time"; var X = t.Sleep`,
		"a socket":        `import "net"; var X net.Conn`,
		"a goroutine":     `func X() { go func() {}() }`,
		"a channel":       `var X chan int`,
		"a select":        `func X() { select {} }`,
		"an import of os": `import _ "os"`,
		"a map's order":   `func X(m map[int]int) (s []int) { for k := range m { s = append(s, k) }; return s }`,
		"an init":         `func init() {}`,
	} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "planted.go", "package planted\n"+source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if len(complaintsAboutPurity(fset, module+"/planted", []*ast.File{file}, exports)) == 0 {
			t.Errorf("%s went unnoticed", what)
		}
	}
}

func TestRatchet(t *testing.T) {
	for _, p := range house(t) {
		if !ours(p) {
			continue
		}
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			where := path.Join(roomOf(p.ImportPath), name)
			if lines := fset.Position(file.FileEnd).Line; lines > longestFile {
				t.Errorf("%s has %d lines, the longest file may have %d", where, lines, longestFile)
			}
			for _, declaration := range file.Decls {
				function, ok := declaration.(*ast.FuncDecl)
				if !ok {
					continue
				}
				lines := fset.Position(function.End()).Line - fset.Position(function.Pos()).Line + 1
				if lines > longestFunction {
					t.Errorf("%s: %s has %d lines, the longest function may have %d", where, function.Name.Name, lines, longestFunction)
				}
			}
		}
	}
}

func TestFewDependenciesEachWithAReason(t *testing.T) {
	gomod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	reasons, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for line := range strings.Lines(string(gomod)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) < 2 || !strings.HasPrefix(fields[1], "v") || strings.Contains(line, "// indirect") {
			continue
		}
		direct++
		if !strings.Contains(string(reasons), "`"+fields[0]+"`") {
			t.Errorf("%s has no reason in docs/dependencies.md", fields[0])
		}
	}
	if direct > mostDirectModules {
		t.Errorf("%d direct modules, at most %d", direct, mostDirectModules)
	}
}
