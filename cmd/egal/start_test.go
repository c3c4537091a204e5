package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startNode starts a node on free ports and waits until it serves.
func startNode(t *testing.T, data string, args ...string) *background {
	t.Helper()
	all := append([]string{"start", "--data", data, "--fabric-listen", "127.0.0.1:0", "--slots-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0"}, args...)
	b := egalInBackground(t, strings.NewReader(""), all...)
	b.err.expect(t, `"event":"node_started"`)
	return b
}

func serving(t *testing.T, b *background) { t.Helper(); b.err.expect(t, `"event":"node_serving"`) }

func TestANodeEndsWithZeroWhenItIsAskedToStop(t *testing.T) {
	data := t.TempDir()
	b := startNode(t, data)
	serving(t, b)
	b.stop()
	if code := b.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(filepath.Join(data, "egal.sock")); err == nil {
		t.Error("the socket is still there")
	}
	if b.out.text() != "" {
		t.Errorf("prints %q on stdout", b.out.text())
	}
}

func TestADataDirectoryBelongsToOneNode(t *testing.T) {
	data := t.TempDir()
	serving(t, startNode(t, data, "--name", "first"))
	got := egalRun(t, "start", "--data", data, "--fabric-listen", "127.0.0.1:0", "--slots-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0")
	if got.code != exitFailed || !strings.Contains(got.err, "error: data directory "+data+": in use by node first, process ") ||
		!strings.Contains(got.err, "hint: stop it, or give this node a directory of its own: --data (EGAL_DATA)\n") {
		t.Errorf("%+v", got)
	}
}

func TestAPortInUseIsOneLineAndAHint(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()
	free := "127.0.0.1:0"
	for key, args := range map[string][]string{
		"fabric.listen": {"--fabric-listen", port, "--slots-listen", free, "--web-listen", free},
		"slots.listen":  {"--fabric-listen", free, "--slots-listen", port, "--web-listen", free},
		"web.listen":    {"--fabric-listen", free, "--slots-listen", free, "--web-listen", port},
	} {
		got := egalRun(t, append([]string{"start", "--data", t.TempDir()}, args...)...)
		flag := strings.ReplaceAll(key, ".", "-")
		variable := "EGAL_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		want := "error: " + key + " " + port + ": the port is in use\nhint: choose another address: --" + flag + " (" + key + " in the file, " + variable + ")\n"
		if got.code != exitFailed || !strings.HasSuffix(got.err, want) {
			t.Errorf("%s: %d %s", key, got.code, got.err)
		}
	}
}

func TestABadAnnouncedNameIsFoundBeforeTheNodeIsAMember(t *testing.T) {
	data := t.TempDir()
	got := egalRun(t, "start", "--data", data, "--slots-announce", "a b:7000")
	if got.code != exitUsage || !strings.Contains(got.err, `host "a b": not a host name`) || !strings.Contains(got.err, "hint: letters, digits") {
		t.Errorf("%+v", got)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAFileIsRead(t *testing.T) {
	file := write(t, "name: from-the-file\n")
	data := t.TempDir()
	serving(t, startNode(t, data, "--config", file))
	if got := egalRun(t, "status", "--data", data); !strings.Contains(got.out, "from-the-file") {
		t.Errorf("%+v", got)
	}
}

func TestASecondNodeJoins(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	first := startNode(t, one, "--name", "one")
	serving(t, first)
	seed := first.err.expect(t, `"fabric":"([^"]+)"`)[1]
	serving(t, startNode(t, two, "--name", "two", "--join", seed))
	got := egalRun(t, "status", "--data", two, "--wait", "--no-headers")
	if got.code != exitOK || !strings.HasPrefix(got.out, "one") || !strings.Contains(got.out, "\ntwo") {
		t.Errorf("%+v", got)
	}
}
