package egal_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/fabric/gossip"
	"github.com/egalcluster/egal/fabric/transport"
	"github.com/egalcluster/egal/slots"
)

const patience = 30 * time.Second

// small is a node on free ports with all data in memory.
func small() egal.Config { return egal.Config{FabricListen: "127.0.0.1:0", SlotsListen: "127.0.0.1:0"} }

func start(t *testing.T, cfg egal.Config) *egal.Node {
	t.Helper()
	n, err := egal.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func ready(t *testing.T, nodes ...*egal.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestThreeNodesStartedAtTheSameTimeBecomeReady(t *testing.T) {
	const count = 3
	began := time.Now()
	ways, seeds := make([]transport.Transport, count), make([]string, count)
	for i := range count {
		way, err := transport.Listen(t.Context(), transport.NetConfig{Addr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		ways[i], seeds[i] = way, way.Addr().String()
	}
	nodes := make([]*egal.Node, count)
	var starting sync.WaitGroup
	for i := range count {
		starting.Go(func() {
			cfg := small()
			cfg.Name, cfg.Seeds, cfg.FirstSeed, cfg.InitialMembers = fmt.Sprint("node-", i+1), seeds, i == 0, count
			cfg.Transport = func(context.Context) (transport.Transport, error) { return ways[i], nil }
			var err error
			if nodes[i], err = egal.Start(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, n := range nodes {
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	ready(t, nodes...)
	t.Logf("ready after %v", time.Since(began))
	for _, n := range nodes {
		view := n.Fabric().View()
		if len(view.Members()) != count || view.Cluster() != nodes[0].Fabric().View().Cluster() {
			t.Errorf("%s sees %d members of cluster %s", n.ID(), len(view.Members()), view.Cluster())
		}
		for _, check := range n.Checks() {
			if !check.OK {
				t.Errorf("%s: %+v", n.ID(), check)
			}
		}
	}
}

func TestANodeOnADiskThatSurvivesIsTheSameMember(t *testing.T) {
	disk := egal.MemoryDisk()
	cfg := small()
	cfg.Disk = disk
	first := start(t, cfg)
	ready(t, first)
	cluster := first.Fabric().View().Cluster()
	cfg.Disk = disk.Crash() // as SIGKILL and a power cut would leave it, while the first still runs
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, cfg)
	ready(t, second)
	if second.ID() != first.ID() || second.Fabric().View().Cluster() != cluster {
		t.Errorf("after the crash it is node %s of %s, before %s of %s", second.ID(), second.Fabric().View().Cluster(), first.ID(), cluster)
	}
}

func TestCloseMayBeCalledAgainAndEndsReady(t *testing.T) {
	cfg := small()
	cfg.InitialMembers, cfg.FirstSeed = 2, true // never complete
	n := start(t, cfg)
	waiting := make(chan error, 1)
	go func() { waiting <- n.Ready(t.Context()) }() // ends with Close
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-waiting; !errors.Is(err, egal.ErrClosed) {
		t.Errorf("Ready gives %v", err)
	}
	if _, err := net.Dial("tcp", n.Slots()[0].Addr().String()); err == nil {
		t.Error("the store's port is still open")
	}
}

func TestReadySaysWhatIsMissing(t *testing.T) {
	cfg := small()
	cfg.InitialMembers, cfg.FirstSeed = 2, true
	n := start(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := n.Ready(ctx)
	if !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "egal: ready: member") {
		t.Errorf("got %v", err)
	}
}

func TestANodeThatLeavesIsGoneForTheOthers(t *testing.T) {
	first := start(t, small())
	ready(t, first)
	cfg := small()
	cfg.Seeds = []string{first.Fabric().Addr().String()}
	second := start(t, cfg)
	ready(t, second)
	if err := second.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := time.After(patience)
	for {
		changed := first.Fabric().Changed()
		if len(first.Fabric().View().Members()) == 1 {
			return
		}
		select {
		case <-changed:
		case <-end:
			t.Fatal("the other node still has it as a member")
		}
	}
}

func TestAPortInUseIsNamedByItsField(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for field, set := range map[string]func(*egal.Config){
		"FabricListen": func(c *egal.Config) { c.FabricListen = taken.Addr().String() },
		"SlotsListen":  func(c *egal.Config) { c.SlotsListen = taken.Addr().String() },
	} {
		cfg := small()
		set(&cfg)
		_, err := egal.Start(t.Context(), cfg)
		listen := (*egal.ListenError)(nil)
		if !errors.As(err, &listen) || listen.Field != field || listen.Address != taken.Addr().String() || !listen.InUse() {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestValidateJoinsAllFaults(t *testing.T) {
	if err := (egal.Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	err := egal.Config{
		Name: strings.Repeat("n", 129), Roles: make([]string, 33), Structures: []string{"ring"}, Seeds: []string{""},
		InitialMembers: 1025, FabricListen: "0.0.0.0:7946", SlotsListen: "nowhere", SlotsAnnounce: "a:65536", SlotsEngine: "steam",
		FabricFanout: 17, ProbeMisses: -1,
	}.Validate()
	for _, want := range []string{
		"name: 129 bytes", "roles 33", `structure "ring"`, "seeds: an empty one", "initial members 1025", "fabric listen 0.0.0.0:7946: open",
		`"nowhere": want host:port`, `port "65536"`, `engine "steam"`, "fanout 17", "probe misses",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("lacks %q:\n%v", want, err)
		}
	}
	if !errors.Is(err, egal.ErrInsecure) {
		t.Error("no ErrInsecure")
	}
	atBounds := egal.Config{Name: strings.Repeat("n", 128), Roles: make([]string, 32), InitialMembers: 1024, FabricFanout: 16, FabricListen: "[::1]:0", SlotsListen: "localhost:0"}
	if err := atBounds.Validate(); err != nil {
		t.Errorf("at the bounds: %v", err)
	}
}

// What Validate takes as an announced host is what the store takes.
func TestAnnouncedHostsAreThoseOfTheStore(t *testing.T) {
	n := start(t, small())
	for _, host := range []string{
		"", "db-1.example", "a_b", "10.0.0.1", "::1", "a:b", "fe80::1%eth0", "a b", "ä", "a/b", strings.Repeat("a", 255), strings.Repeat("a", 256),
	} {
		cfg := small()
		cfg.SlotsAnnounce = net.JoinHostPort(host, "7000")
		valid := cfg.Validate()
		service, err := slots.Start(t.Context(), slots.Config{Index: 1, Fabric: n.Fabric(), Announce: slots.Announce{Host: host}})
		if err == nil {
			if err := service.Close(); err != nil {
				t.Error(err)
			}
		}
		if (valid == nil) != (err == nil) {
			t.Errorf("%q: Validate says %v, the store %v", host, valid, err)
		}
	}
}

// failing opens sockets until the store's port is asked for a second time: the node has joined by then.
func failing(store string) *net.ListenConfig {
	asked := 0
	return &net.ListenConfig{Control: func(_, address string, _ syscall.RawConn) error {
		if address == store {
			if asked++; asked > 1 {
				return errors.New("planted")
			}
		}
		return nil
	}}
}

// memberOf waits until n sees the member: who is let in may know it a moment before the leader shows it.
func memberOf(t *testing.T, n *egal.Node, id string) gossip.Member {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		changed := n.Fabric().Changed()
		for _, m := range n.Fabric().View().Members() {
			if m.ID.String() == id {
				return m
			}
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s is no member", id)
		}
	}
}

func TestAFailedStartDoesNotEndAMembership(t *testing.T) {
	first := start(t, small())
	ready(t, first)
	cfg := small()
	cfg.Seeds, cfg.Disk = []string{first.Fabric().Addr().String()}, egal.MemoryDisk()
	second := start(t, cfg)
	ready(t, second)
	before := memberOf(t, first, second.ID())
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	broken := cfg
	broken.SlotsListen = "127.0.0.2:0"
	broken.ListenConfig = failing(broken.SlotsListen)
	if n, err := egal.Start(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "planted") {
		t.Fatalf("%v, %v", n, err)
	}
	again := start(t, cfg)
	ready(t, again)
	if after := memberOf(t, first, again.ID()); after.UpNumber != before.UpNumber {
		t.Errorf("it was removed by the failed start: before %+v, after %+v", before, after)
	}
}

func TestAFailedFirstStartLeavesNoMemberBehind(t *testing.T) {
	first := start(t, small())
	ready(t, first)
	cfg := small()
	cfg.SlotsListen = "127.0.0.2:0"
	cfg.Seeds, cfg.ListenConfig = []string{first.Fabric().Addr().String()}, failing(cfg.SlotsListen)
	if n, err := egal.Start(t.Context(), cfg); err == nil {
		t.Fatalf("%v", n)
	}
	end := time.After(patience)
	for {
		changed := first.Fabric().Changed()
		if len(first.Fabric().View().Members()) == 1 {
			return
		}
		select {
		case <-changed:
		case <-end:
			t.Fatalf("it stays behind: %v", first.Fabric().View().Members())
		}
	}
}

func TestAnInvalidConfigurationStartsNothing(t *testing.T) {
	if n, err := egal.Start(t.Context(), egal.Config{SlotsListen: "0.0.0.0:0"}); n != nil || !errors.Is(err, egal.ErrInsecure) {
		t.Errorf("got %v, %v", n, err)
	}
}
