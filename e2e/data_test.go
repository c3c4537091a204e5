package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// realLines reads texts that Debian ships: a word list and the licences, at least 100,000 lines.
func realLines(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/usr/share/common-licenses/*")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, file := range append([]string{"/usr/share/dict/words"}, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // counted below
		}
		for line := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n") {
			lines = append(lines, line)
		}
	}
	if len(lines) >= 100_000 {
		return lines
	}
	if os.Getenv("EGAL_E2E_REQUIRE") == "1" {
		t.Fatalf("%d lines under /usr/share/dict/words and /usr/share/common-licenses, want 100000, and EGAL_E2E_REQUIRE=1", len(lines))
	}
	fmt.Fprintf(os.Stderr, "SKIP %s: no word list (Debian: apt-get install wamerican)\n", t.Name())
	t.SkipNow()
	return nil
}

// slotOf is the hash slot of a key without hash tag: CRC16 (XMODEM) modulo 16384.
func slotOf(key string) int {
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc % 16384)
}

// ownersOf returns the address that serves each slot, as a node says.
func ownersOf(t *testing.T, addr string) []string {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	ranges, err := client.ClusterSlots(t.Context()).Result() //nolint:staticcheck // older clients still ask this
	if err != nil {
		t.Fatal(err)
	}
	owners := make([]string, 16384)
	for _, r := range ranges {
		for slot := r.Start; slot <= r.End; slot++ {
			owners[slot] = r.Nodes[0].Addr
		}
	}
	return owners
}

func lineKey(i int) string { return fmt.Sprintf("line:%d", i) }

func TestRealTextIsLoadedByPipeAndReadThroughAnotherNode(t *testing.T) {
	cli := tool(t, "redis-cli")
	lines := realLines(t)
	addrs := startCluster(t, 3).resp
	owners := ownersOf(t, addrs[0])

	// redis-cli --pipe follows no redirects: each node is fed its own keys.
	feeds := make(map[string]*bytes.Buffer)
	counts := make(map[string]int)
	for i, line := range lines {
		owner := owners[slotOf(lineKey(i))]
		if feeds[owner] == nil {
			feeds[owner] = &bytes.Buffer{}
		}
		fmt.Fprintf(feeds[owner], "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(lineKey(i)), lineKey(i), len(line), line)
		counts[owner]++
	}
	if len(feeds) != len(addrs) {
		t.Fatalf("%d of %d nodes own keys", len(feeds), len(addrs))
	}
	for owner, feed := range feeds {
		out := output(t, feed, cli, append(hostPort(t, owner), "--pipe")...)
		if want := fmt.Sprintf("errors: 0, replies: %d", counts[owner]); !strings.Contains(out, want) {
			t.Fatalf("redis-cli --pipe: want %q, it says\n%s", want, out)
		}
	}
	t.Logf("%d lines loaded", len(lines))

	t.Run("by a cluster client that knows one node", func(t *testing.T) { readByGoRedis(t, lines, addrs[1]) })
	t.Run("by redis-cli -c", func(t *testing.T) { readByRedisCLI(t, cli, lines, addrs[2]) })
}

func readByGoRedis(t *testing.T, lines []string, addr string) {
	t.Helper()
	client, ctx := clusterClient(t, addr), t.Context()
	for first := 0; first < len(lines); first += 5000 {
		batch := lines[first:min(first+5000, len(lines))]
		replies := make([]*redis.StringCmd, len(batch))
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range batch {
				replies[i] = p.Get(ctx, lineKey(first+i))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, reply := range replies {
			if reply.Val() != batch[i] {
				t.Fatalf("line %d: got %q, want %q", first+i, reply.Val(), batch[i])
			}
		}
	}
	if size, err := client.DBSize(ctx).Result(); err != nil || size != int64(len(lines)) {
		t.Errorf("size of all nodes: got %d, %v; want %d", size, err, len(lines))
	}
}

// redirectNote is what redis-cli -c prints when it follows a redirect.
var redirectNote = regexp.MustCompile(`^-> Redirected to slot \[\d+\] located at \S+$`)

func readByRedisCLI(t *testing.T, cli string, lines []string, addr string) {
	t.Helper()
	var script bytes.Buffer
	var asked []string
	for i := 0; i < len(lines); i += 20 {
		fmt.Fprintf(&script, "GET %s\n", lineKey(i))
		asked = append(asked, lines[i])
	}
	out := output(t, &script, cli, append(hostPort(t, addr), "-c", "--raw")...)
	var got []string
	for scanner := bufio.NewScanner(strings.NewReader(out)); scanner.Scan(); {
		if !redirectNote.MatchString(scanner.Text()) {
			got = append(got, scanner.Text())
		}
	}
	if len(got) != len(asked) {
		t.Fatalf("%d answers to %d questions", len(got), len(asked))
	}
	for i, want := range asked {
		if got[i] != want {
			t.Fatalf("line %d: got %q, want %q", 20*i, got[i], want)
		}
	}
}
