package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// openWith opens one transport for each keyring; nil is plain.
func openWith(t *testing.T, rings ...*Keyring) (transports []Transport) {
	t.Helper()
	noLeaks(t)
	for _, ring := range rings {
		tr := listenLoopback(t, "127.0.0.1:0", ring)
		t.Cleanup(func() { must(t, tr.Close()) })
		transports = append(transports, tr)
	}
	return transports
}

func metrics(tr Transport) Metrics { return tr.(Measured).Metrics() }

// Sealed and plain, and different keys, never meet: nothing is delivered, and nothing is answered.
func TestStrangersAreNotHeard(t *testing.T) {
	one, two := NewKeyring(testKey(1)), NewKeyring(testKey(2))
	for _, tc := range []struct {
		name     string
		from, to *Keyring
	}{
		{"another key", two, one},
		{"plain to sealed", nil, one},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tr := openWith(t, tc.from, tc.to)
			r := start(t, tr...)
			tr[1].Handle(kindEcho, echo)
			r[1].until(t, "datagrams that are not let in", func() bool {
				must(t, tr[0].SendDatagram(tr[1].Addr(), 0, []byte("datagram")))
				return metrics(tr[1]).DatagramsForged > 0
			})
			must(t, tr[0].SendFrame(tr[1].Addr(), []byte("frame")))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if _, err := tr[0].Request(ctx, tr[1].Addr(), kindEcho, []byte("x")); !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrBroken) {
				t.Errorf("a request: %v", err)
			}
			r[1].until(t, "a rejected stream", func() bool { return metrics(tr[1]).Rejected > 0 })
			if got := r[1].got(); len(got.datagrams)+len(got.frames) > 0 || metrics(tr[1]).Accepted > 0 {
				t.Errorf("delivered: %+v", got)
			}
		})
	}
}

// A stranger that speaks the protocol without the key gets not one byte back.
func TestAStrangerGetsNoByte(t *testing.T) {
	tr := openWith(t, NewKeyring(testKey(1)))
	start(t, tr...)
	strange := shake(NewKeyring(testKey(2)), 5, "127.0.0.1:1")
	own, key := strange.hello()
	plain, _ := shake(nil, 5, "127.0.0.1:1").hello()
	for name, b := range map[string][]byte{
		"another key": append(bytes.Clone(own.body), own.tag(key, keyHello, nil)...),
		"plain":       plain.body,
		"nonsense":    bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 10),
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", tr[0].Addr().String())
		must(t, err)
		_, err = conn.Write(b)
		must(t, err)
		got, err := io.ReadAll(conn)
		if len(got) > 0 || err != nil && !isReset(err) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		must(t, conn.Close())
	}
}

// The repetition of somebody's hello is answered, since it is genuine, and nothing can follow: neither the session's
// keys nor a place among the proven are got by it.
func TestARepeatedHelloLeadsNowhere(t *testing.T) {
	ring := NewKeyring(testKey(1))
	tr := openWith(t, ring)
	r := start(t, tr...)
	own, key := shake(ring, 5, "127.0.0.1:1").hello()
	said := append(bytes.Clone(own.body), own.tag(key, keyHello, nil)...)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", tr[0].Addr().String())
	must(t, err)
	_, err = conn.Write(said)
	must(t, err)
	_, _, err = readHello(conn)
	must(t, err)
	_, err = conn.Write(record(&records{aead: suiteAES.aead(make([]byte, 32))}, appendChunk(nil, chunk{chunkFrame, true, 0, []byte("x")})))
	must(t, err)
	if rest, err := io.ReadAll(conn); err != nil && !isReset(err) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	must(t, conn.Close())
	if len(r[0].got().frames) > 0 || metrics(tr[0]).Accepted > 0 {
		t.Error("it was taken")
	}
}

func TestTheLogSaysWhyAPeerDoesNotAnswer(t *testing.T) {
	noLeaks(t)
	log := &lockedBuffer{}
	tr, err := Listen(t.Context(), NetConfig{Addr: "127.0.0.1:0", Keys: NewKeyring(testKey(2)), Logger: slog.New(slog.NewJSONHandler(log, nil))})
	must(t, err)
	defer func() { must(t, tr.Close()) }()
	start(t, tr)
	other := openWith(t, NewKeyring(testKey(1)))
	start(t, other...)
	for range tellAfter + 1 {
		if _, err := tr.Request(soon(t), other[0].Addr(), kindEcho, nil); !errors.Is(err, ErrUnreachable) {
			t.Fatal(err)
		}
	}
	want := []string{`"event":"transport_not_taken"`, other[0].Addr().String(), NewKeyring(testKey(2)).Keys()[0].Hash}
	for _, part := range want {
		if strings.Count(log.String(), part) != 1 {
			t.Errorf("%q is not in the log once: %s", part, log.String())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Datagrams reach the process and the cluster that they are for; a node in no cluster hears those of the cluster that
// a peer has told it of.
func TestDatagramsAreForOneProcessOfOneCluster(t *testing.T) {
	ring := NewKeyring(testKey(1))
	tr := openWith(t, ring, NewKeyring(testKey(1)))
	r := []*recorder{newRecorder(), newRecorder()}
	who := []Identity{someone(), someone()}
	for i := range tr {
		tr[i].Start(who[i], r[i])
	}
	heard := func(body string) bool {
		for _, d := range r[1].got().datagrams {
			if d.body == body {
				return true
			}
		}
		return false
	}
	refused := func(what string, receiver uint64) {
		t.Helper()
		before := metrics(tr[1]).DatagramsForged
		r[1].until(t, what, func() bool {
			must(t, tr[0].SendDatagram(tr[1].Addr(), receiver, []byte(what)))
			return metrics(tr[1]).DatagramsForged > before
		})
		if heard(what) {
			t.Errorf("%s was delivered", what)
		}
	}
	taken := func(what string, receiver uint64) {
		t.Helper()
		r[1].until(t, what, func() bool {
			must(t, tr[0].SendDatagram(tr[1].Addr(), receiver, []byte(what)))
			return heard(what)
		})
	}
	taken("both in no cluster", who[1].Boot)
	refused("another boot", who[1].Boot+1)
	tr[0].Enter(ClusterID{1})
	refused("in no cluster, and not told of one", who[1].Boot)
	must(t, tr[0].SendFrame(tr[1].Addr(), []byte("frame")))
	r[1].untilFrame(t, "frame")
	taken("in no cluster, told of one", who[1].Boot)
	tr[1].Enter(ClusterID{1})
	taken("in one cluster", who[1].Boot)
	taken("whoever has the address", 0)
	tr[1].Rise(who[1].Boot + 1<<32)
	refused("the boot before", who[1].Boot)
	taken("the boot that it rose to", who[1].Boot+1<<32)
	tr[0].Rise(who[0].Boot + 1<<32)
	taken("of a sender that rose", who[1].Boot+1<<32)
	tr[1].Enter(ClusterID{2})
	refused("in another cluster", who[1].Boot+1<<32)
}

// A key is exchanged under traffic without a loss of streams or requests, and the old one is of no use afterwards.
func TestKeysChangeUnderTraffic(t *testing.T) {
	rings := []*Keyring{NewKeyring(testKey(1)), NewKeyring(testKey(1))}
	tr := openWith(t, append(rings, NewKeyring(testKey(1)))...)
	r := start(t, tr...)
	tr[1].Handle(kindEcho, echo)
	works := func(what string) {
		t.Helper()
		untilDatagram(t, tr[0], tr[1], r[1], what)
		_, err := tr[0].Request(soon(t), tr[1].Addr(), kindEcho, []byte(what))
		must(t, err)
	}
	works("before")
	for _, step := range []func(*Keyring) error{
		func(k *Keyring) error { return k.Install(1, testKey(2)) },
		func(k *Keyring) error { return k.Use(1) },
	} {
		for i, ring := range rings {
			must(t, step(ring))
			works(strings.Repeat("x", i+1))
		}
	}
	for _, ring := range rings {
		must(t, ring.Remove(0))
	}
	works("after") // over streams that have been opened under the new key since it is in use
	if _, err := tr[2].Request(soon(t), tr[1].Addr(), kindEcho, nil); !errors.Is(err, ErrUnreachable) {
		t.Errorf("with the old key: %v", err)
	}
}

// Streams that have said who they are and then nothing hold no more than their address's share, and not for ever.
func TestIdleStreamsAreBounded(t *testing.T) {
	tr := openWith(t, nil, nil)
	r := start(t, tr...)
	plain, _ := shake(nil, 5, "127.0.0.1:1").hello()
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			_ = c.Close() // the other side may have done so
		}
	}()
	dial := func() net.Conn {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", tr[0].Addr().String())
		must(t, err)
		idle = append(idle, c)
		_, err = c.Write(plain.body)
		must(t, err)
		return c
	}
	for n := range MaxInboundPerAddress {
		dial()
		if n%(MaxUnprovenPerAddress/2) == 0 {
			r[0].until(t, "the streams so far", func() bool { return metrics(tr[0]).Accepted >= uint64(n) })
		}
	}
	r[0].until(t, "all streams", func() bool { return metrics(tr[0]).Accepted == MaxInboundPerAddress })
	if _, err := io.ReadAll(dial()); err != nil && !isReset(err) {
		t.Fatal(err)
	}
	if got := metrics(tr[0]); got.Accepted != MaxInboundPerAddress || got.Rejected != 1 {
		t.Fatalf("%d accepted, %d rejected", got.Accepted, got.Rejected)
	}
	must(t, idle[0].Close())
	r[0].until(t, "a frame", func() bool { // one place is free again
		must(t, tr[1].SendFrame(tr[0].Addr(), []byte("frame")))
		return len(r[0].got().frames) > 0
	})
}

func TestAnIdleStreamEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		busy bool
	}{{"with nothing going on", false}, {"not while something is served", true}} {
		t.Run(tc.name, func(t *testing.T) {
			here, there := net.Pipe()
			x := &exchange{}
			served := make(chan struct{})
			x.Handle(kindEcho, func(ctx context.Context, _ From, _ []byte) ([]byte, error) {
				close(served)
				<-ctx.Done()
				return nil, ctx.Err()
			})
			s := newSession(x, false, func() {})
			l := newLink(here, here, newReader(here), s, 0, secrets{}, nil)
			ended := make(chan error, 1)
			go func() { ended <- l.read(20*time.Millisecond, nil) }()
			if tc.busy {
				h := head{kind: kindEcho}
				_, err := there.Write(record(&records{}, appendChunk(nil, chunk{chunkRequest, true, 1, h.append(nil)})))
				must(t, err)
				<-served
				select {
				case err := <-ended:
					t.Fatalf("ended while something is served: %v", err)
				case <-time.After(60 * time.Millisecond):
				}
				s.close(ErrClosed)
			}
			if err := <-ended; err == nil {
				t.Fatal("no error")
			}
			x.serving.Wait()
			must(t, errors.Join(here.Close(), there.Close()))
		})
	}
}

func TestSendingADatagramAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	tr := openWith(t, NewKeyring(testKey(1)), nil, nil)
	start(t, tr[:2]...) // the third one does not read
	b := make([]byte, MaxDatagram)
	for i, from := range tr[:2] {
		send := func() { must(t, from.SendDatagram(tr[2].Addr(), 0, b)) }
		send()
		if n := testing.AllocsPerRun(200, send); n > 0 {
			t.Errorf("transport %d: %v allocations", i, n)
		}
	}
}

// The largest datagram fills a packet to its last byte, and one that is a byte longer is not taken.
func TestPacketsAreBounded(t *testing.T) {
	tr := openWith(t, NewKeyring(testKey(1)), NewKeyring(testKey(1)))
	r := start(t, tr...)
	untilDatagram(t, tr[0], tr[1], r[1], strings.Repeat("x", MaxDatagram))
	if got := sealed(t, newSealer(NewKeyring(testKey(1)), alice, suiteAES), toHome, strings.Repeat("x", MaxDatagram)); len(got) != MaxPacket {
		t.Errorf("%d bytes, want %d", len(got), MaxPacket)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "udp", tr[1].Addr().String())
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	for size, count := range map[int]func() uint64{
		MaxPacket:     func() uint64 { return metrics(tr[1]).DatagramsForged },
		MaxPacket + 1: func() uint64 { return metrics(tr[1]).DatagramsRejected },
		0:             func() uint64 { return metrics(tr[1]).DatagramsForged },
	} {
		before := count()
		r[1].until(t, "a stranger's packet", func() bool {
			_, err := conn.Write(make([]byte, size))
			must(t, err)
			return count() > before
		})
	}
	if n := len(r[1].got().datagrams); n > 1 && r[1].got().datagrams[n-1].body != r[1].got().datagrams[0].body {
		t.Error("a stranger's packet was delivered")
	}
}
