package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/spf13/cobra"
)

// Bounds of a demo.
const (
	maxDemoNodes  = 64
	firstDemoPort = 7001
	demoPortStep  = 100 // between blocks of ports that are tried
	demoPortTries = 50
	firstAPIPort  = 8946
)

// demoFlags are the flags of the demo.
type demoFlags struct {
	nodes    int
	ports    string
	web      string
	gossip   string
	insecure bool
	verbose  bool
}

func demoCommand(w *world) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a whole cluster in this process, to play with",
		Long: "Run a whole cluster in this process: real nodes on ports of this machine, all data in memory. Verbs that begin with\n" +
			"a backslash kill and restart nodes, cut the network and show how a change spreads; \\help lists them.\n\n" +
			"Verbs may also come through a pipe: the demo ends with the last of them. With no verb at all (</dev/null) it runs\n" +
			"until SIGTERM or SIGINT.",
		Example: `  egal demo
  egal demo --nodes 5 --ports 7001,7002,7003,7004,7005
  printf '\\set X 3\n' | egal demo --nodes 9 --gossip literal   # count the messages; compare with --gossip inr
  printf '\\set X 2\n\\kill 3\n\\status\n' | egal demo`,
		Args: noArguments,
	}
	cmd.Flags().IntVar(&f.nodes, "nodes", 3, fmt.Sprintf("how many nodes, 1 to %d", maxDemoNodes))
	cmd.Flags().StringVar(&f.ports, "ports", "auto", "ports for clients, parted by commas; auto: 7001, 7002, … or the next free block")
	cmd.Flags().StringVar(&f.web, "web-listen", "auto", "host:port of the API; auto: 127.0.0.1:8946 or the next free port")
	cmd.Flags().StringVar(&f.gossip, "gossip", gossip.StrategyINR.String(), "how changes spread: inr, literal (everybody sends to everybody, "+
		"each remembering to whom), push")
	complete(cmd, "gossip", "inr", "literal", "push")
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "let --web-listen be open beyond this machine")
	cmd.Flags().BoolVar(&f.verbose, "verbose", false, "log what the nodes do to stderr")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		paint, err := w.paints(cmd)
		if err != nil {
			return err
		}
		return w.demo(cmd.Context(), f, paint)
	}
	return cmd
}

// demo runs the cluster until the verbs end or the context does.
func (w *world) demo(ctx context.Context, f demoFlags, paint painter) error {
	if err := oneOf("gossip", f.gossip, "inr", "literal", "push"); err != nil {
		return err
	}
	ports, err := f.clientPorts(ctx)
	if err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	if f.verbose {
		logger = newLogger(w.err, "auto", slog.LevelInfo, w.errTTY)
	}
	d, err := startDemo(ctx, logger, ports, f)
	if err != nil {
		return err
	}
	d.w, d.paint = w, paint
	d.welcome()
	return errors.Join(d.converse(ctx), d.close())
}

// clientPorts are the ports that clients connect to.
func (f demoFlags) clientPorts(ctx context.Context) ([]int, error) {
	if f.nodes < 1 || f.nodes > maxDemoNodes {
		return nil, fail(exitUsage, "", "--nodes %d: want 1 to %d", f.nodes, maxDemoNodes)
	}
	if f.ports != "auto" {
		var ports []int
		for text := range strings.SplitSeq(f.ports, ",") {
			port, err := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
			if err != nil {
				return nil, fail(exitUsage, "for example --ports 7001,7002,7003", "--ports %q: want ports parted by commas, or auto", f.ports)
			}
			ports = append(ports, int(port))
		}
		if len(ports) != f.nodes {
			return nil, fail(exitUsage, "give as many ports as --nodes", "--ports names %d ports for %d nodes", len(ports), f.nodes)
		}
		return ports, nil
	}
	for try := range demoPortTries {
		ports := make([]int, f.nodes)
		for i := range ports {
			ports[i] = firstDemoPort + try*demoPortStep + i
		}
		if allFree(ctx, ports) {
			return ports, nil
		}
	}
	return nil, fail(exitFailed, "name free ones with --ports", "no free block of %d ports from %d on", f.nodes, firstDemoPort)
}

// allFree tells whether ports can be listened on now.
func allFree(ctx context.Context, ports []int) bool {
	for _, port := range ports {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", loopback(port))
		if err != nil {
			return false
		}
		defer listener.Close()
	}
	return true
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// welcome says what runs, and what to type next.
func (d *demo) welcome() {
	out := d.w.out
	took := time.Since(d.w.began)
	fmt.Fprintf(out, "%d equal nodes serve all 16384 slots, %s after the command\n\n", len(d.nodes), milliseconds(took))
	for _, n := range d.nodes {
		fmt.Fprintf(out, "  %-8s redis-cli -c -p %d\n", n.name, n.port)
	}
	fmt.Fprintf(out, "\n  %-8s curl http://%s/api/v1/status\n  %-8s egal status --addr %s\n  %-8s egal status --data %s\n\n",
		"API", d.api, "status", d.api, "", d.nodes[0].dir)
	fmt.Fprintln(out, `Type \set X 2 to see a change reach every node, \kill 3 to lose one, \help for more, \quit to end.`)
}

// converse takes verbs until \quit, the end of input or the end of the context. Input without a verb, such as
// /dev/null, does not end the demo, unless it is a terminal.
func (d *demo) converse(ctx context.Context) error {
	lines := make(chan string)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends with its input, or at the line that comes after stop: a read cannot be interrupted
		defer close(lines)
		scanner := bufio.NewScanner(d.w.in)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-reading.Done():
				return
			}
		}
	}()
	spoken := false
	for {
		d.prompt()
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-lines:
			if !ok {
				if !spoken && !d.w.inTTY {
					<-ctx.Done()
				}
				return nil
			}
			spoken = spoken || strings.TrimSpace(line) != ""
			if d.execute(ctx, line) {
				return nil
			}
		}
	}
}

func (d *demo) prompt() {
	if d.w.inTTY && d.w.outTTY {
		fmt.Fprint(d.w.out, "egal> ")
	}
}

// milliseconds writes a duration in the unit that fits it.
func milliseconds(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case ms < 0.1:
		return fmt.Sprintf("%.0f µs", 1000*ms)
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}
