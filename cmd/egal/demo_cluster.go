package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/web"
)

// demoPatience bounds the start of a demo.
const demoPatience = 30 * time.Second

// demo is a cluster in this process.
type demo struct {
	w        *world
	paint    painter
	logger   *slog.Logger
	rules    *transport.Rules
	dir      string // of the sockets
	nodes    []*demoNode
	seeds    []string
	gossip   string // how changes spread
	api      string // host:port
	insecure bool   // the API may be open beyond this machine
	server   *web.Server
}

// demoNode is a node of a demo: what outlives its process.
type demoNode struct {
	number int // from 1
	name   string
	port   int // for clients
	dir    string
	disk   *egal.Disk
	fabric netip.AddrPort
	opened transport.Transport // for the first start, so that all know all addresses before

	mu      sync.Mutex
	running *egal.Node // nil: killed
	handler http.Handler
	socket  *web.Server
}

// startDemo starts the nodes at the same time and returns when they serve. Nothing is left behind when it fails.
func startDemo(ctx context.Context, logger *slog.Logger, ports []int, f demoFlags) (*demo, error) {
	d := &demo{logger: logger, rules: transport.NewRules(), gossip: f.gossip, insecure: f.insecure}
	if err := d.start(ctx, ports, f.web); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *demo) start(ctx context.Context, ports []int, api string) error {
	var err error
	if d.dir, err = os.MkdirTemp("", "egal-demo-"); err != nil {
		return err
	}
	for i, port := range ports {
		n := &demoNode{number: i + 1, name: "node-" + strconv.Itoa(i+1), port: port, disk: egal.MemoryDisk()}
		n.dir = filepath.Join(d.dir, n.name)
		if err := os.Mkdir(n.dir, 0o700); err != nil {
			return err
		}
		if n.opened, err = d.listen(ctx, "127.0.0.1:0"); err != nil {
			return explain(err)
		}
		n.fabric = n.opened.Addr()
		d.nodes, d.seeds = append(d.nodes, n), append(d.seeds, n.fabric.String())
	}
	if err := d.serve(ctx, api); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	failed := make([]error, len(d.nodes))
	var starting sync.WaitGroup
	for i, n := range d.nodes {
		starting.Go(func() { failed[i] = d.run(ctx, n) })
	}
	starting.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	for _, n := range d.nodes {
		if err := n.process().Ready(ctx); err != nil {
			return explain(err)
		}
	}
	return nil
}

func (d *demo) listen(ctx context.Context, address string) (transport.Transport, error) {
	t, err := transport.Listen(ctx, transport.NetConfig{Addr: address, Logger: d.logger})
	if err != nil {
		return nil, err
	}
	return d.rules.Wrap(t), nil
}

// run starts the process of a node.
func (d *demo) run(ctx context.Context, n *demoNode) error {
	open := func(ctx context.Context) (transport.Transport, error) {
		if t := n.opened; t != nil {
			n.opened = nil
			return t, nil
		}
		return d.listen(ctx, n.fabric.String())
	}
	process, err := egal.Start(ctx, egal.Config{
		Disk: n.disk, Name: n.name, Seeds: d.seeds, FirstSeed: n.number == 1, InitialMembers: len(d.nodes),
		FabricListen: n.fabric.String(), FabricStrategy: d.gossip, Transport: open, SlotsListen: loopback(n.port), Logger: d.logger.With("node", n.name),
	})
	if err != nil {
		if listen := (*egal.ListenError)(nil); asError(err, &listen) && listen.InUse() {
			return fail(exitFailed, "choose other ports: --ports, or --ports auto", "port %d is in use", n.port)
		}
		return explain(err)
	}
	handler := web.Handler(process, web.Options{Remote: d.insecure})
	socket, err := web.ListenSocket(ctx, n.dir)
	if err != nil {
		return errors.Join(err, process.Close())
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running, n.handler, n.socket = process, handler, web.Serve(web.Handler(process, web.Options{Socket: true}), d.logger, socket)
	return nil
}

// serve opens the API port, on which the first node that runs answers.
func (d *demo) serve(ctx context.Context, api string) error {
	var listener net.Listener
	var err error
	if api != "auto" {
		if listener, err = listenWeb(ctx, api, "--web-listen", d.insecure); err != nil {
			return err
		}
	}
	for port := firstAPIPort; listener == nil; port++ {
		listener, err = listenWeb(ctx, loopback(port), "", false)
		if taken := (*portInUse)(nil); err != nil && (!asError(err, &taken) || port == firstAPIPort+demoPortTries) {
			return err
		}
	}
	d.api = listener.Addr().String()
	d.server = web.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, n := range d.nodes {
			if handler := n.answers(); handler != nil {
				handler.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "no node runs", http.StatusServiceUnavailable)
	}), d.logger, listener)
	return nil
}

func (n *demoNode) answers() http.Handler {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.handler
}

// process is the running node, nil when it is killed.
func (n *demoNode) process() *egal.Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running
}

// kill ends a node as SIGKILL would: no goodbye, and what was not synced is lost.
func (n *demoNode) kill() error {
	n.mu.Lock()
	process, socket := n.running, n.socket
	n.running, n.handler, n.socket = nil, nil, nil
	n.disk = n.disk.Crash()
	n.mu.Unlock()
	return errors.Join(process.Close(), socket.Close())
}

// up are the nodes that run.
func (d *demo) up() []*demoNode {
	var up []*demoNode
	for _, n := range d.nodes {
		if n.process() != nil {
			up = append(up, n)
		}
	}
	return up
}

// close ends everything and removes the sockets.
func (d *demo) close() error {
	failed := make([]error, len(d.nodes))
	var closing sync.WaitGroup
	for i, n := range d.nodes {
		closing.Go(func() {
			switch {
			case n.process() != nil:
				failed[i] = n.kill()
			case n.opened != nil:
				failed[i] = n.opened.Close()
			}
		})
	}
	closing.Wait()
	faults := slices.Clone(failed)
	if d.server != nil {
		faults = append(faults, d.server.Close())
	}
	if d.dir != "" {
		faults = append(faults, os.RemoveAll(d.dir))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("end of the demo: %w", err)
	}
	return nil
}
