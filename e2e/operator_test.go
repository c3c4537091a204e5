package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestANodeLeavesAndItsProcessEndsWithZero(t *testing.T) {
	c := startCluster(t, 3)
	args := []string{"node", "leave", "node-3", "--data", c.data[2]}
	fails(t, 2, args, "error: nobody to ask", "--yes")
	if plan := output(t, nil, binary, append(args, "--dry-run")...); !strings.Contains(plan, "the others (2)") {
		t.Errorf("the plan:\n%s", plan)
	}
	output(t, nil, binary, append(args, "--yes", "--wait")...)
	if code := c.process[2].exit(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, c.process[2].text())
	}
	for i := range 2 {
		eventually(t, "node-3 is no member any more", func() bool {
			return output(t, nil, binary, "node", "ls", "--data", c.data[i], "-o", "name") == "node-1\nnode-2\n"
		})
	}
}

func TestTheConfigurationOfARunningProcessChanges(t *testing.T) {
	c := startCluster(t, 1)
	file := filepath.Join(c.data[0], "egal.yaml")
	out := output(t, nil, binary, "config", "set", "slots.max_clients", "77", "--data", c.data[0])
	if !strings.Contains(out, "10000 → 77, at once; written to "+file) {
		t.Errorf("egal config set: %s", out)
	}
	if info, err := bulk(c.resp[0], "INFO clients"); err != nil || !strings.Contains(info, "maxclients:77\r\n") {
		t.Errorf("INFO clients: %q, %v", info, err)
	}
	if err := os.WriteFile(file, []byte("slots: {max_clients: 78}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.process[0].cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file is read again", func() bool {
		shown := output(t, nil, binary, "config", "show", "--running", "--data", c.data[0], "-o",
			`go-template={{range .settings}}{{if eq .key "slots.max_clients"}}{{.value}} {{.where}}{{end}}{{end}}`)
		return shown == "78 "+file+":1"
	})
}

func TestTheCompletionScriptWorksInBash(t *testing.T) {
	c := startCluster(t, 2)
	script := filepath.Join(t.TempDir(), "egal")
	if err := os.WriteFile(script, []byte(output(t, nil, binary, "completion", "bash")), 0o600); err != nil {
		t.Fatal(err)
	}
	// What bash does when somebody types "egal node leave --data DIR node-" and the tabulator; the function is what the
	// package bash-completion has for it.
	typed := `source "$1"; PATH="$2:$PATH"; dir="$3" COMP_TYPE=9
_get_comp_words_by_ref() { cur=node- prev=$dir words=(egal node leave --data "$dir" node-) cword=5; }
__start_egal; printf '%s\n' "${COMPREPLY[@]}"`
	out := output(t, nil, tool(t, "bash"), "-c", typed, "bash", script, filepath.Dir(binary), c.data[0])
	for _, name := range []string{"node-1", "node-2"} {
		if !strings.Contains(out, name) {
			t.Errorf("lacks %s:\n%s", name, out)
		}
	}
}
