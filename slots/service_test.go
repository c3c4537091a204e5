package slots

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestStartRefusesWhatItCannotServe(t *testing.T) {
	for name, config := range map[string]Config{
		"an address others can reach":         {Listen: "0.0.0.0:0"},
		"an address others can reach, ipv6":   {Listen: "[::]:0"},
		"an empty host":                       {Listen: ":0"},
		"an address without a port":           {Listen: "127.0.0.1"},
		"an unknown engine":                   {Engine: "magic"},
		"a negative bound":                    {MaxClients: -1},
		"more loops than there may be":        {Loops: MaxLoops + 1},
		"more databases than there may be":    {Databases: 1<<14 + 1},
		"an address that is not this machine": {Listen: "192.0.2.1:0", AllowRemote: true},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := Start(t.Context(), config); err == nil {
				t.Errorf("started on %s", s.Addr())
				_ = s.Close()
			} else if !strings.HasPrefix(err.Error(), "slots: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestRemoteListenersAreAllowedExplicitly(t *testing.T) {
	s := start(t, Config{Listen: "0.0.0.0:0", AllowRemote: true})
	if !s.Addr().Addr().IsUnspecified() || s.Addr().Port() == 0 {
		t.Errorf("address %v", s.Addr())
	}
}

func TestAPortInUseIsReportedAsSuch(t *testing.T) {
	first := start(t, Config{})
	_, err := Start(t.Context(), Config{Listen: first.Addr().String()})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), first.Addr().String()) {
		t.Errorf("error %v", err)
	}
}

func TestListenConfigIsUsed(t *testing.T) {
	called := false
	start(t, Config{ListenConfig: &net.ListenConfig{Control: func(string, string, syscall.RawConn) error {
		called = true
		return nil
	}}})
	if !called {
		t.Error("Control was not called")
	}
}

func TestSeveralServicesLiveSideBySide(t *testing.T) {
	a, b := start(t, Config{}), start(t, Config{Engine: EngineNet})
	toA, toB := dial(t, a), dial(t, b)
	toA.check("SET k a", "+OK")
	toB.check("SET k b", "+OK")
	toA.check("GET k", "a")
	toB.check("GET k", "b")
	if a.ID() == b.ID() || !a.Serving() {
		t.Errorf("ids %s %s", a.ID(), b.ID())
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			before, files := runtime.NumGoroutine(), openFiles(t)
			for range 3 {
				s, err := Start(t.Context(), Config{Engine: engine, Loops: 2})
				if err != nil {
					t.Fatal(err)
				}
				var all []*client
				for range 20 {
					c := dial(t, s)
					c.check("PING", "+PONG")
					c.send("*2\r\n$3\r\nGET\r\n$100\r\nunfinished")
					all = append(all, c)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				for _, c := range all {
					c.expectEnd()
					_ = c.conn.Close()
				}
				if conn, err := net.Dial("tcp", s.Addr().String()); err == nil {
					t.Error("the port still answers")
					_ = conn.Close()
				}
			}
			eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
			if after := openFiles(t); after > files+2 { // the runtime's own poller may have come
				t.Errorf("%d open files, %d before", after, files)
			}
		})
	}
}

// openFiles counts the descriptors of the process; 0 where they cannot be counted.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

func TestCloseDuringTraffic(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s, err := Start(t.Context(), Config{Engine: engine, Loops: 2})
			if err != nil {
				t.Fatal(err)
			}
			const writers = 8
			done := make(chan struct{})
			burst := []byte(strings.Repeat(encode("SET", "key", "value")+encode("GET", "key"), 200))
			for range writers {
				c := dial(t, s)
				go func() {
					_, _ = io.Copy(io.Discard, c.conn)
					done <- struct{}{}
				}()
				go func() {
					for {
						if _, err := c.conn.Write(burst); err != nil {
							break
						}
					}
					done <- struct{}{}
				}()
			}
			eventually(t, "traffic", func() bool { return s.Metrics().Commands > 20_000 })
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 * writers {
				<-done
			}
		})
	}
}

func TestMetricsCount(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine, func(t *testing.T) {
			s := start(t, Config{Engine: engine, MaxClients: 7})
			c := dial(t, s)
			c.check("SET a 1", "+OK")
			c.check("GET a", "1")
			c.check("GET b", "$-1")
			c.check("INCR a x", "-ERR wrong number of arguments for 'incr' command")
			m := s.Metrics()
			if m.Engine != engine || m.Clients != 1 || m.MaxClients != 7 || m.Accepted != 1 || m.Commands != 3 || m.Errors != 1 ||
				m.Keys != 1 || m.Hits != 1 || m.Misses != 1 || m.InputBytes == 0 || m.OutputBytes == 0 || m.UsedMemory == 0 {
				t.Errorf("%+v", m)
			}
		})
	}
}
