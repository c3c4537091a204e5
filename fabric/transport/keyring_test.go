package transport

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func keyText(b byte) string {
	key := testKey(b)
	return base64.StdEncoding.EncodeToString(key[:])
}

func TestAKeyFileIsRead(t *testing.T) {
	ring, err := ParseKeyring([]byte("# made for tests\n\n  7:" + keyText(1) + "\r\n8:" + keyText(2) + "\n" + keyText(3)))
	must(t, err)
	want := []KeyInfo{{7, testKey(1).Hash(), true}, {8, testKey(2).Hash(), false}, {0, testKey(3).Hash(), false}}
	if got := ring.Keys(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestABadKeyFileIsExplained(t *testing.T) {
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	for _, tc := range []struct{ name, content, want string }{
		{"empty", "", "no key in it"},
		{"only comments", "# one\n# two\n", "no key in it"},
		{"no base64", "# one\n\nhello!\n", "line 3: the key is no base64"},
		{"too short", short, "line 1: the key has 31 bytes: want 32"},
		{"too long", base64.StdEncoding.EncodeToString(make([]byte, 33)), "line 1: the key has 33 bytes: want 32"},
		{"an id too large", "256:" + keyText(1), "line 1: the id before ':' is no number from 0 to 255"},
		{"an id that is none", "a:" + keyText(1), "line 1: the id before ':' is no number from 0 to 255"},
		{"an id twice", keyText(1) + "\n0:" + keyText(2), "line 2: transport: keyring: install key 0: this id is taken"},
		{"a key twice", keyText(1) + "\n1:" + keyText(1), "line 2: transport: keyring: install key 1: it is key 0"},
		{"one byte repeated", base64.StdEncoding.EncodeToString(make([]byte, 32)), "line 1: the key is one byte repeated"},
		{"too many", "1:" + keyText(1) + "\n2:" + keyText(2) + "\n3:" + keyText(3) + "\n4:" + keyText(4) + "\n5:" + keyText(5), "line 5: transport: keyring: install key 5: there are 4 keys already"},
		{"too large", strings.Repeat("#", MaxKeyFile+1), "over 16384 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseKeyring([]byte(tc.content))
			if !errors.Is(err, ErrKeyFile) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("%v, want %q", err, tc.want)
			}
			if strings.Contains(err.Error(), keyText(1)) {
				t.Fatal("the error shows a key")
			}
		})
	}
}

func TestAKeyringRefusesWhatWouldCutItOff(t *testing.T) {
	ring := NewKeyring(testKey(1))
	must(t, ring.Install(1, testKey(2)))
	for _, tc := range []struct {
		name string
		err  error
	}{
		{"to remove the key in use", ring.Remove(0)},
		{"to remove a key that is not there", ring.Remove(9)},
		{"to use a key that is not there", ring.Use(9)},
		{"an id twice", ring.Install(1, testKey(3))},
		{"a key twice", ring.Install(2, testKey(2))},
	} {
		if !errors.Is(tc.err, ErrKeyring) {
			t.Errorf("%s: %v", tc.name, tc.err)
		}
	}
	must(t, errors.Join(ring.Install(2, testKey(3)), ring.Install(3, testKey(4))))
	if err := ring.Install(4, testKey(5)); !errors.Is(err, ErrKeyring) {
		t.Errorf("key %d: %v", MaxKeys+1, err)
	}
	must(t, errors.Join(ring.Use(3), ring.Remove(0)))
	if got := fmt.Sprint(ring.Keys()); strings.Contains(got, "true") && !ring.Keys()[2].InUse || len(ring.Keys()) != 3 {
		t.Errorf("%s", got)
	}
}

func TestAKeyIsNeverShown(t *testing.T) {
	key := testKey(1)
	for _, verb := range []string{"%v", "%x", "%d", "%s", "%q", "%#v", "%+v"} {
		if got := fmt.Sprintf(verb, key); got != "(secret)" {
			t.Errorf("%s shows %s", verb, got)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key, "ring", NewKeyring(key).Keys())
	if shown := fmt.Sprint(testKey(1)[0], " ", testKey(1)[1], " ", testKey(1)[2]); strings.Contains(log.String(), shown) {
		t.Errorf("logged: %s", log.String())
	}
}

func TestAKeyFileThatOthersReadIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
		_ = os.Remove(path)
		must(t, os.WriteFile(path, []byte(keyText(1)), 0o600))
		must(t, os.Chmod(path, mode))
		var log bytes.Buffer
		_, err := LoadKeyring(path, slog.New(slog.NewTextHandler(&log, nil)))
		must(t, err)
		if strings.Contains(log.String(), "chmod 600") != warns {
			t.Errorf("%v: %q", mode, log.String())
		}
	}
	if _, err := LoadKeyring(path+".none", nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestAKeyringKeepsItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, []byte("7:"+keyText(1)+"\n"), 0o644))
	link := path + ".link"
	must(t, os.Symlink(path, link))
	ring, err := LoadKeyring(link, nil)
	must(t, err)
	changed := ring.Changed()
	must(t, errors.Join(ring.Install(8, testKey(2)), ring.Use(8)))
	<-changed
	again, err := LoadKeyring(path, nil)
	must(t, err)
	want := []KeyInfo{{8, testKey(2).Hash(), true}, {7, testKey(1).Hash(), false}}
	if got := again.Keys(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the file holds %v, want %v", got, want)
	}
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	must(t, os.RemoveAll(filepath.Dir(path)))
	if err := ring.Remove(7); !errors.Is(err, ErrKeyring) || len(ring.Keys()) != 2 {
		t.Errorf("a change that cannot be written: %v, %v", err, ring.Keys())
	}
}

func TestAKeyFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, []byte("7:"+keyText(1)+"\n8:"+keyText(2)+"\n"), 0o600))
	ring, err := LoadKeyring(path, nil)
	must(t, err)
	changed, kept := ring.Changed(), ring.current.Load().find(8)
	must(t, ring.Reload())
	select {
	case <-changed:
		t.Error("nothing has changed, and it is said")
	default:
	}
	must(t, os.WriteFile(path, []byte("8:"+keyText(2)+"\n9:"+keyText(3)+"\n"), 0o600))
	must(t, ring.Reload())
	<-changed
	want := []KeyInfo{{8, testKey(2).Hash(), true}, {9, testKey(3).Hash(), false}}
	if got := ring.Keys(); fmt.Sprint(got) != fmt.Sprint(want) || !ring.holds(kept) {
		t.Errorf("%v, want %v; the key that stayed: %t", got, want, ring.holds(kept))
	}
	must(t, os.WriteFile(path, []byte("8:nothing\n"), 0o600))
	if err := ring.Reload(); !errors.Is(err, ErrKeyFile) || len(ring.Keys()) != 2 {
		t.Errorf("a bad file: %v, %v", err, ring.Keys())
	}
	must(t, NewKeyring(testKey(1)).Reload()) // has no file
}

func TestAStreamIsTriedUnderEveryKey(t *testing.T) {
	ring := NewKeyring(testKey(1))
	must(t, errors.Join(ring.Install(1, testKey(2)), ring.Install(2, testKey(3)), ring.Use(1)))
	var tried []uint8
	for number := range 4 {
		tried = append(tried, ring.current.Load().attempt(number).id)
	}
	if string(tried) != "\x01\x02\x00\x01" {
		t.Error(tried)
	}
}

func FuzzKeyring(f *testing.F) {
	f.Add([]byte("7:" + keyText(1) + "\n# two\n" + keyText(2)))
	f.Add([]byte("256:x"))
	f.Fuzz(func(t *testing.T, content []byte) {
		ring, err := ParseKeyring(content)
		if err != nil {
			return
		}
		if n := len(ring.Keys()); n == 0 || n > MaxKeys || !ring.Keys()[0].InUse {
			t.Fatalf("%v", ring.Keys())
		}
	})
}
