package settings

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// started is a node's configuration: its file, and what else it was started with.
type started struct {
	*Running
	file  string
	taken []string // hot settings, in the order in which they were taken
}

// begin starts with a file, an environment and one flag.
func begin(t *testing.T, content string, environment []string, flag string) *started {
	t.Helper()
	s := &started{file: filepath.Join(t.TempDir(), "egal.yaml")}
	if content != "" {
		if err := os.WriteFile(s.file, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	gather := func(content []byte) (*Values, error) {
		v := New().Values()
		err := errors.Join(v.ReadFile(s.file, content), v.ReadEnvironment(environment))
		if flag != "" {
			key, text, _ := strings.Cut(flag, "=")
			err = errors.Join(err, v.Set(key, text, Origin{Source: FromFlag, Where: "--flag"}))
		}
		if v.Text("location") == "nowhere" {
			err = errors.Join(err, &Fault{Key: "location", Problem: "is nowhere"})
		}
		return v, err
	}
	values, err := gather([]byte(content))
	if err != nil {
		t.Fatal(err)
	}
	knobs := map[string]Knob{}
	for _, row := range New().Settings() {
		if row.Hot {
			knobs[row.Key] = Knob{Set: func(v *Values) { s.taken = append(s.taken, row.Key+"="+v.Text(row.Key)) }}
		}
	}
	if s.Running, err = NewRunning(values, s.file, gather, knobs); err != nil {
		t.Fatal(err)
	}
	return s
}

// row is what a node says of a setting.
func (s *started) row(t *testing.T, key string) string {
	t.Helper()
	rows, err := s.Rows()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Setting.Key == key {
			return r.Value + "|" + strings.ReplaceAll(r.Origin.String(), s.file, "FILE") + "|" + r.Next
		}
	}
	return "no row"
}

func (s *started) expect(t *testing.T, key, want string) {
	t.Helper()
	if got := s.row(t, key); got != want {
		t.Errorf("%s: got %s, want %s", key, got, want)
	}
}

func TestAHotSettingIsTakenAtOnceAndWritten(t *testing.T) {
	s := begin(t, "# mine\nname: a\n", nil, "")
	done, err := s.Change(map[string]string{"log_level": "debug"}, "PATCH")
	if err != nil || len(done) != 1 || done[0].Before != "info" || done[0].Value != "debug" || done[0].Hidden != nil {
		t.Fatalf("%+v, %v", done, err)
	}
	s.expect(t, "log_level", "debug|file FILE:3|debug")
	if content, err := os.ReadFile(s.file); string(content) != "# mine\nname: a\nlog_level: debug\n" || err != nil {
		t.Errorf("%q, %v", content, err)
	}
	if info, err := os.Stat(s.file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if strings.Join(s.taken, " ") != "log_level=debug" {
		t.Errorf("taken: %v", s.taken)
	}
}

func TestAnotherSettingWaitsForTheNextStart(t *testing.T) {
	s := begin(t, "", nil, "")
	done, err := s.Change(map[string]string{"fabric.fanout": "5", "name": "b"}, "PATCH")
	if err != nil || len(done) != 2 || done[0].Value != "4" || done[0].Next != "5" || len(s.taken) != 0 {
		t.Fatalf("%+v, %v, taken %v", done, err, s.taken)
	}
	s.expect(t, "fabric.fanout", "4|default|5")
	s.expect(t, "name", "|default|b")
}

func TestAFlagWinsAgainAtTheNextStart(t *testing.T) {
	s := begin(t, "", []string{"EGAL_FABRIC_FANOUT=6"}, "log_level=warn")
	done, err := s.Change(map[string]string{"log_level": "debug", "fabric.fanout": "5"}, "PATCH")
	if err != nil || done[0].Hidden == nil || done[0].Hidden.String() != "environment EGAL_FABRIC_FANOUT" || done[1].Hidden.String() != "flag --flag" {
		t.Fatalf("%+v, %v", done, err)
	}
	s.expect(t, "log_level", "debug|request PATCH|warn")
	s.expect(t, "fabric.fanout", "6|environment EGAL_FABRIC_FANOUT|6")
}

func TestAllOrNothing(t *testing.T) {
	s := begin(t, "name: a\n", nil, "")
	for _, changes := range []map[string]string{
		{"log_level": "debug", "fabric.fanout": "0"}, {"log_level": "debug", "nme": "x"}, {"log_level": "debug", "location": "nowhere"},
	} {
		if done, err := s.Change(changes, "PATCH"); err == nil {
			t.Errorf("%v: %+v", changes, done)
		}
	}
	if content, err := os.ReadFile(s.file); string(content) != "name: a\n" || err != nil || len(s.taken) != 0 {
		t.Errorf("%q, %v, taken %v", content, err, s.taken)
	}
	s.expect(t, "log_level", "info|default|info")
}

func TestReloadTakesWhatIsHotAndShowsWhatIsNot(t *testing.T) {
	s := begin(t, "log_level: warn\n", nil, "")
	if err := os.WriteFile(s.file, []byte("# new\nlog_level: error\nname: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "log_level", "warn|file FILE:1|error")
	done, err := s.Reload()
	if err != nil || len(done) != 2 || strings.Join(s.taken, " ") != "log_level=error" {
		t.Fatalf("%+v, %v, taken %v", done, err, s.taken)
	}
	s.expect(t, "log_level", "error|file FILE:2|error")
	s.expect(t, "name", "|default|b")
	if err := os.WriteFile(s.file, []byte("nme: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(); err == nil {
		t.Error("a file with a fault was taken")
	}
	if rows, err := s.Rows(); err == nil || rows[6].Value != "error" || rows[6].Next != "error" {
		t.Errorf("%+v, %v", rows[6], err)
	}
}

func TestWhatClientsHaveSetIsShown(t *testing.T) {
	s := begin(t, "", nil, "")
	s.knobs["slots.max_clients"] = Knob{Set: func(*Values) {}, Text: func() string { return "7" }}
	s.expect(t, "slots.max_clients", "7|request CONFIG SET|10000")
}

func TestEveryHotSettingNeedsAKnob(t *testing.T) {
	if _, err := NewRunning(New().Values(), "f", nil, nil); err == nil || !strings.Contains(err.Error(), "log_level: hot is true, has a knob is false") {
		t.Errorf("got %v", err)
	}
}

func TestALinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link), WriteContent(link, []byte("name: a\n"))); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if content, reading := ReadContent(file); err != nil || info.Mode()&fs.ModeSymlink == 0 || string(content) != "name: a\n" || reading != nil {
		t.Errorf("%v, %q, %v", info.Mode(), content, errors.Join(err, reading))
	}
}

func TestAFileThatDoesNotExistIsEmptyAndALargeOneAFault(t *testing.T) {
	dir := t.TempDir()
	if content, err := ReadContent(filepath.Join(dir, "none")); content != nil || err != nil {
		t.Errorf("%q, %v", content, err)
	}
	large := filepath.Join(dir, "large")
	for size, ok := range map[int]bool{MaxFileBytes: true, MaxFileBytes + 1: false} {
		if err := os.WriteFile(large, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadContent(large); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
