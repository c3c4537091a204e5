// Command slots measures the store side by side with redis-server: one node of ours and one of theirs run at the same
// time, redis-benchmark asks them in turn.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/egalcluster/egal/bench/proc"
	"github.com/egalcluster/egal/bench/report"
)

const (
	keySpace   = 1_000_000 // keys of 16 bytes, all present
	valueBytes = 32
	clients    = 50
)

var (
	rounds = flag.Int("rounds", 5, "`rounds` of each row; the figures are medians")
	count  = flag.Int("n", 1_000_000, "`requests` a round with pipelining, a quarter of it without")
	quick  = flag.Bool("quick", false, "one short round: shows that everything runs, not how fast")
)

func main() {
	table := report.New("slots", "Store: Egal and redis-server on one machine",
		"row", "ratio", "egal requests/s", "redis requests/s", "egal CPU s per million", "redis CPU s per million", "CPU ratio", "egal B/key", "redis B/key")
	flag.Parse()
	if *quick {
		*rounds, *count = 1, 100_000
	}
	if err := run(context.Background(), table); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// bench is the pair that is measured, and the client that asks.
type bench struct {
	dir     string
	binary  string // egal
	redis   string // redis-server; empty: missing
	client  string // redis-benchmark
	version string
}

func run(ctx context.Context, table *report.Table) error {
	dir, err := os.MkdirTemp("", "egal-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir}
	if b.client, err = proc.Find("redis-benchmark"); err != nil {
		fmt.Fprintln(os.Stderr, "skipped: redis-benchmark is not installed (Debian: apt-get install redis-tools)")
		return nil
	}
	if b.redis, err = proc.Find("redis-server"); err != nil {
		fmt.Fprintln(os.Stderr, "without redis-server there is nothing to compare with (Debian: apt-get install redis-server): our figures only")
	} else if version, err := exec.CommandContext(ctx, b.redis, "--version").Output(); err == nil {
		b.version = strings.Join(strings.Fields(string(version))[:3], " ")
	}
	if b.binary, err = proc.Build(ctx, dir); err != nil {
		return err
	}
	if err := b.speed(ctx, table); err != nil {
		return err
	}
	if err := b.memory(table); err != nil {
		return err
	}
	table.Note("Ratios are ours to theirs, above 1 is better for us; the CPU ratio is theirs to ours. Medians of %d rounds of %d requests"+
		" (a quarter without pipelining), %d clients, keys of %d, values of %d bytes; peer: %s.", *rounds, *count, clients, keySpace, valueBytes, b.version)
	return table.Close()
}

// start runs a fresh pair. Their server may be nil.
func (b bench) start() (ours, theirs *proc.Server, err error) {
	if ours, err = b.egal(); err != nil || b.redis == "" {
		return ours, nil, err
	}
	port, err := proc.FreePort()
	if err != nil {
		stop(ours)
		return nil, nil, err
	}
	theirs, err = proc.Start("redis-server", "127.0.0.1:"+port, b.dir, io.Discard, b.redis,
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no")
	if err != nil {
		stop(ours)
		return nil, nil, err
	}
	return ours, theirs, nil
}

func stop(servers ...*proc.Server) {
	for _, s := range servers {
		if s != nil {
			s.Stop()
		}
	}
}

// speed measures SET and GET at three depths of pipelining.
func (b bench) speed(ctx context.Context, table *report.Table) error {
	ours, theirs, err := b.start()
	if err != nil {
		return err
	}
	defer stop(ours, theirs)
	for _, server := range []*proc.Server{ours, theirs} {
		if server == nil {
			continue
		}
		if err := fill(server.Addr); err != nil { // every GET finds its key
			return fmt.Errorf("fill %s: %w", server.Name, err)
		}
	}
	for _, pipeline := range []int{1, 16, 64} {
		for _, operation := range []string{"SET", "GET"} {
			if err := b.row(ctx, table, operation, pipeline, ours, theirs); err != nil {
				return err
			}
		}
	}
	return nil
}

// sample is what one run of redis-benchmark has shown.
type sample struct{ rate, cpu float64 } // requests a second, processor seconds per million requests

func (b bench) row(ctx context.Context, table *report.Table, operation string, pipeline int, ours, theirs *proc.Server) error {
	requests := *count
	if pipeline == 1 {
		requests /= 4
	}
	var us, them struct{ rate, cpu []float64 }
	var rate, cpu []float64
	for round := range *rounds {
		samples := make(map[*proc.Server]sample)
		order := []*proc.Server{ours, theirs}
		if round%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, server := range order {
			if server == nil {
				continue
			}
			var err error
			if samples[server], err = b.measure(ctx, server, operation, pipeline, requests); err != nil {
				return err
			}
		}
		us.rate, us.cpu = append(us.rate, samples[ours].rate), append(us.cpu, samples[ours].cpu)
		if theirs == nil {
			continue
		}
		them.rate, them.cpu = append(them.rate, samples[theirs].rate), append(them.cpu, samples[theirs].cpu)
		rate = append(rate, samples[ours].rate/samples[theirs].rate)
		cpu = append(cpu, samples[theirs].cpu/samples[ours].cpu)
	}
	name := fmt.Sprintf("%s -P %d", operation, pipeline)
	if theirs == nil {
		table.Add(name, nil, report.Median(us.rate), nil, report.Median(us.cpu), nil, nil)
		return nil
	}
	table.Add(name, report.Median(rate), report.Median(us.rate), report.Median(them.rate),
		report.Median(us.cpu), report.Median(them.cpu), report.Median(cpu))
	return nil
}

// measure runs redis-benchmark once.
func (b bench) measure(ctx context.Context, server *proc.Server, operation string, pipeline, requests int) (sample, error) {
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		return sample{}, err
	}
	before, err := server.Processor()
	if err != nil {
		return sample{}, err
	}
	cmd := exec.CommandContext(ctx, b.client, "-h", host, "-p", port, "-t", strings.ToLower(operation), "-P", strconv.Itoa(pipeline),
		"-n", strconv.Itoa(requests), "-c", strconv.Itoa(clients), "-r", strconv.Itoa(keySpace), "-d", strconv.Itoa(valueBytes), "--csv")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("redis-benchmark against %s: %w\n%s", server.Name, err, stderr.String())
	}
	after, err := server.Processor()
	if err != nil {
		return sample{}, err
	}
	records, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil || len(records) < 2 || len(records[len(records)-1]) < 2 {
		return sample{}, fmt.Errorf("redis-benchmark against %s: %w\n%s", server.Name, err, out)
	}
	rate, err := strconv.ParseFloat(records[len(records)-1][1], 64)
	if err != nil {
		return sample{}, err
	}
	return sample{rate: rate, cpu: (after - before).Seconds() / float64(requests) * 1e6}, nil
}

// memory fills fresh servers and looks at what they take from the system.
func (b bench) memory(table *report.Table) error {
	ours, theirs, err := b.start()
	if err != nil {
		return err
	}
	defer stop(ours, theirs)
	var perKey []any
	for _, server := range []*proc.Server{ours, theirs} {
		if server == nil {
			perKey = append(perKey, nil)
			continue
		}
		before, err := server.Resident()
		if err != nil {
			return err
		}
		if err := fill(server.Addr); err != nil {
			return fmt.Errorf("fill %s: %w", server.Name, err)
		}
		after, err := server.Resident()
		if err != nil {
			return err
		}
		perKey = append(perKey, float64(after-before)/keySpace)
	}
	table.Add(fmt.Sprintf("%d keys of 16 + %d bytes", keySpace, valueBytes), append(make([]any, 6), perKey...)...)
	return nil
}

// fill stores the keys that redis-benchmark asks for, of 16 bytes, through one connection in pipelines of 1,000.
func fill(addr string) error {
	const batch = 1000
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	value := strings.Repeat("v", valueBytes)
	for first := 0; first < keySpace; first += batch {
		for i := first; i < first+batch; i++ {
			fmt.Fprintf(out, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n", i, valueBytes, value)
		}
		if err := out.Flush(); err != nil {
			return err
		}
		for range batch {
			if line, err := in.ReadString('\n'); err != nil || line != "+OK\r\n" {
				return fmt.Errorf("answer %q: %w", line, err)
			}
		}
	}
	return nil
}

// egal starts a node of ours, which founds a cluster of its own and serves every slot.
func (b bench) egal() (*proc.Server, error) {
	var ports [3]string
	for i := range ports {
		var err error
		if ports[i], err = proc.FreePort(); err != nil {
			return nil, err
		}
	}
	data, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + ports[0]
	return proc.Start("egal", addr, b.dir, io.Discard, b.binary, "start", "--data", data, "--slots-listen", addr,
		"--fabric-listen", "127.0.0.1:"+ports[1], "--web-listen", "127.0.0.1:"+ports[2])
}
