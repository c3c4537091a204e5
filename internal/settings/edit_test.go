package settings

import (
	"bytes"
	"strings"
	"testing"
)

func TestAnEditLeavesTheRestOfTheFileAsItIs(t *testing.T) {
	tests := []struct{ name, before, key, value, after string }{
		{"an empty file gets a section", "", "fabric.fanout", "5", "fabric:\n  fanout: 5\n"},
		{"an empty file gets a key", "", "name", "a", "name: a\n"},
		{"nothing but comments", "# mine\n", "name", "a", "# mine\nname: a\n"},
		{"a value", "# top\n\nname: a   # me\nlog_level: info\n", "name", "bee", "# top\n\nname: bee   # me\nlog_level: info\n"},
		{"a quoted value", "name: \"a\\\"b\" # me\n", "name", "c", "name: c # me\n"},
		{"a value in single quotes", "name: 'it''s' # me\n", "name", "c", "name: c # me\n"},
		{"a value that needs quotes", "name: a\n", "name", "a: b #c", "name: 'a: b #c'\n"},
		{"an empty value", "web:\n  listen: 127.0.0.1:1\n", "web.listen", "", "web:\n  listen: \"\"\n"},
		{"a word that YAML takes for another type", "name: a\n", "name", "true", "name: \"true\"\n"},
		{"a key of a section that is there", "fabric: # gossip\n  # many\n  fanout: 5 # five\n\n\nname: a\n", "fabric.probe_misses", "7", "fabric: # gossip\n  # many\n  fanout: 5 # five\n  probe_misses: 7\n\n\nname: a\n"},
		{"a section indented by four", "slots:\n    engine: net\n", "slots.max_clients", "9", "slots:\n    engine: net\n    max_clients: 9\n"},
		{"a section without settings", "fabric:\nname: a\n", "fabric.fanout", "2", "fabric:\n  fanout: 2\nname: a\n"},
		{"a section that is missing", "name: a", "web.max_body", "1MiB", "name: a\nweb:\n  max_body: 1MiB\n"},
		{"a section in brackets", "fabric: {fanout: 5}\n", "fabric.probe_misses", "7", "fabric: {probe_misses: 7, fanout: 5}\n"},
		{"empty brackets", "fabric: {} # none\n", "fabric.probe_misses", "7", "fabric: {probe_misses: 7} # none\n"},
		{"a value in brackets", "fabric: {fanout: 5, probe_misses: 3}\n", "fabric.fanout", "6", "fabric: {fanout: 6, probe_misses: 3}\n"},
		{"a file in brackets", "{name: a}\n", "fabric.fanout", "6", "{fabric: {fanout: 6}, name: a}\n"},
		{"a list in brackets", "roles: [a, 'b]', \"c\\\"\"] # r\n", "roles", "x,no", "roles: [x, \"no\"] # r\n"},
		{"a list below each other", "roles:\n  # first\n  - a # A\n  # second\n  - b\nname: n\n", "roles", "b,c", "roles:\n  # first\n  # second\n  - b\n  - c\nname: n\n"},
		{"a list as one value", "fabric:\n  seeds: a:1,b:2\n", "fabric.seeds", "a:1,c:3", "fabric:\n  seeds: [a:1, c:3]\n"},
		{"letters of several bytes", "name: größe # ß\n", "name", "ü", "name: ü # ß\n"},
		{"lines that end as on Windows", "name: a\r\nfabric:\r\n  fanout: 5\r\n", "fabric.probe_misses", "7", "name: a\r\nfabric:\r\n  fanout: 5\r\n  probe_misses: 7\r\n"},
		{"no end of line", "fabric:\n  fanout: 5", "fabric.probe_misses", "7", "fabric:\n  fanout: 5\n  probe_misses: 7"},
		{"a size is written in the unit that fits", "web: {max_body: 1MiB}\n", "web.max_body", "2048", "web: {max_body: 2KiB}\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := New().Edit("egal.yaml", []byte(test.before), test.key, test.value)
			if err != nil || string(got) != test.after {
				t.Errorf("got %q, %v\nwant %q", got, err, test.after)
			}
		})
	}
}

func TestAnEditThatIsRefused(t *testing.T) {
	tests := []struct{ name, file, key, value, want string }{
		{"an unknown key", "", "fabric.fanuot", "5", "fabric.fanuot: no such setting\nhint: did you mean fabric.fanout?"},
		{"a value out of range", "", "fabric.fanout", "17", "fabric.fanout: want 1 to 16"},
		{"a file with faults", "name: a\nnam: b\n", "name", "c", "egal.yaml:2: nam: no such setting\nhint: did you mean name?"},
		{"a block of text", "location: dc2/rack1\nname: |-\n  a\n", "name", "c", "egal.yaml:2: name: is written in a way that only a person can change\nhint: edit the file by hand"},
		{"a list over lines", "roles: [a,\n  b]\n", "roles", "c", "egal.yaml:1: roles: is written in a way that only a person can change\nhint: edit the file by hand"},
		{"a key with a question mark", "? name\n: a\n", "location", "dc1/r2", "is written in a way"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := New().Edit("egal.yaml", []byte(test.file), test.key, test.value)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v\nwant %s", got, err, test.want)
			}
		})
	}
}

func TestASettingOfTheWholeClusterIsInNoFile(t *testing.T) {
	r := newRegistry([]Setting{{Key: "fabric.down_policy", Type: Enum, Default: "a", Choices: []string{"a", "b"}, ClusterWide: true}})
	_, err := r.Edit("egal.yaml", nil, "fabric.down_policy", "b")
	if err == nil || err.Error() != "fabric.down_policy: all nodes have the same value, so it is not in a node's file" {
		t.Errorf("got %v", err)
	}
}

func FuzzEdit(f *testing.F) {
	keys := New().keys()
	for i, content := range []string{
		"# top\nname: a # me\nfabric:\n  fanout: 5\n", "roles:\n- a\n# c\n- b\n", "fabric: {fanout: 5}\n", "{name: a}", "roles: [a, 'b']\n", "name: |\n  a\n",
		"%YAML 1.1\n---\nname: a\n", "name: a\r\n", "? name\n: a\n", "\ufeffname: a\n",
	} {
		f.Add([]byte(content), uint8(i), "x")
	}
	f.Fuzz(func(t *testing.T, content []byte, which uint8, text string) {
		key := keys[int(which)%len(keys)]
		edited, err := New().Edit("f", content, key, text)
		if err != nil {
			return
		}
		v := New().Values()
		if err := v.ReadFile("f", edited); err != nil || v.Origin(key).Source != FromFile {
			t.Errorf("%s = %q: %v\n%q", key, text, err, edited)
		}
		again, err := New().Edit("f", edited, key, text)
		if err != nil || !bytes.Equal(again, edited) {
			t.Errorf("twice the same edit: %v\n%q\n%q", err, edited, again)
		}
		setting, _ := New().Find(key)
		if was, is := bytes.Count(content, []byte("#")), bytes.Count(edited, []byte("#")); setting.Type != List && setting.Type != String && is < was {
			t.Errorf("%d of %d number signs are left\n%q\n%q", is, was, content, edited)
		}
	})
}
