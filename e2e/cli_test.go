package e2e

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fails runs egal and expects an exit code, an error line and a hint.
func fails(t *testing.T, code int, args []string, texts ...string) {
	t.Helper()
	out, err := try(t, nil, binary, args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("egal %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("egal %s: the output lacks %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
	if lines := strings.Count(out, "\n"); lines > 2 {
		t.Errorf("egal %s: %d lines for one fault:\n%s", strings.Join(args, " "), lines, out)
	}
}

// free are flags of a node on free ports with its own data.
func free(t *testing.T) []string {
	t.Helper()
	ports := freePorts(t, 3)
	return []string{
		"start", "--data", t.TempDir(), "--log-level", "error", "--slots-listen", "127.0.0.1:" + ports[0],
		"--fabric-listen", "127.0.0.1:" + ports[1], "--web-listen", "127.0.0.1:" + ports[2],
	}
}

func TestAPortInUseIsOneLineWithAHint(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, key := range []string{"slots", "fabric", "web"} {
		t.Run(key, func(t *testing.T) {
			args := append(free(t), "--"+key+"-listen", taken.Addr().String())
			fails(t, 1, args, "error: ", taken.Addr().String(), "the port is in use", "hint: ", "--"+key+"-listen")
		})
	}
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("of the demo", func(t *testing.T) {
		fails(t, 1, []string{"demo", "--nodes", "1", "--ports", port}, "error: ", port, "in use", "hint: ", "--ports")
	})
}

func TestALockedDataDirectoryIsOneLineWithAHint(t *testing.T) {
	c := startCluster(t, 1)
	args := append(free(t), "--data", c.data[0])
	fails(t, 1, args, "error: ", c.data[0], "hint: ")
	if info, err := bulk(c.resp[0], "CLUSTER INFO"); err != nil || !strings.Contains(info, "cluster_state:ok") {
		t.Errorf("the node that holds the lock: %q, %v", info, err)
	}
}

func TestWrongUsageSaysWhatWasMeant(t *testing.T) {
	file := filepath.Join(t.TempDir(), "egal.yaml")
	if err := os.WriteFile(file, []byte("fabric:\n  listen: 127.0.0.1:0\n  sedes: [127.0.0.1:1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		args  []string
		texts []string
	}{
		{"an unknown verb", []string{"statsu"}, []string{"statsu", "did you mean", "status"}},
		{"an unknown flag", []string{"start", "--slot-listen", "x"}, []string{"--slot-listen", "did you mean", "--slots-listen"}},
		{"an unknown key of the file", []string{"start", "--config", file}, []string{file + ":3", "fabric.sedes", "fabric.seeds"}},
		{"a value of the wrong type", []string{"start", "--initial-members", "many"}, []string{"initial-members", "many"}},
		{"an address beyond this machine", []string{"start", "--data", t.TempDir(), "--slots-listen", "0.0.0.0:0"}, []string{"0.0.0.0:0", "--insecure"}},
		{"an unknown output format", []string{"status", "-o", "xml"}, []string{"xml", "json"}},
		{"an argument too many", []string{"version", "7"}, []string{"7"}},
		{"too many nodes", []string{"demo", "--nodes", "65"}, []string{"65", "1 to 64"}},
	} {
		t.Run(c.name, func(t *testing.T) { fails(t, 2, c.args, append(c.texts, "error: ")...) })
	}
}

func TestStatusOfNobodyIsUnreachable(t *testing.T) {
	fails(t, 3, []string{"status", "--addr", "127.0.0.1:" + freePorts(t, 1)[0]}, "error: ", "hint: ")
}

func TestStatusOfADegradedClusterSaysSo(t *testing.T) {
	c := startCluster(t, 2)
	c.process[1].kill()
	var out string
	eventually(t, "the status tells of the killed node", func() bool {
		var err error
		out, err = try(t, nil, binary, "status", "--data", c.data[0])
		var exit *exec.ExitError
		return errors.As(err, &exit) && exit.ExitCode() == 5
	})
	if !strings.Contains(out, "unreachable") {
		t.Errorf("egal status:\n%s", out)
	}
}

func TestVersionAndHelp(t *testing.T) {
	if out := output(t, nil, binary, "version"); !strings.Contains(out, "egal") {
		t.Errorf("egal version: %q", out)
	}
	help := output(t, nil, binary, "--help")
	for _, word := range []string{"demo", "start", "status", "version", "Exit codes:"} {
		if !strings.Contains(help, word) {
			t.Errorf("egal --help lacks %q", word)
		}
	}
}

func TestATerminatedNodeEndsWithCodeZero(t *testing.T) {
	c := startCluster(t, 1)
	if err := c.process[0].cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := c.process[0].exit(t); code != 0 {
		t.Errorf("exit code after SIGINT: %d\n%s", code, c.process[0].text())
	}
}
