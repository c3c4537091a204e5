package transport

import (
	"errors"
	"net"
	"runtime"
	"testing"
)

// A connection that says nothing, or nonsense, is closed, and others are served.
func TestUnprovenConnectionsAreBounded(t *testing.T) {
	noLeaks(t)
	tr := openNet(t, 2)
	r := start(t, tr...)
	defer func() { must(t, errors.Join(tr[0].Close(), tr[1].Close())) }()
	var silent []net.Conn
	defer func() {
		for _, c := range silent {
			_ = c.Close() // the other side may have done so
		}
	}()
	dial := func() net.Conn {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", tr[0].Addr().String())
		must(t, err)
		silent = append(silent, c)
		return c
	}
	for range MaxUnprovenPerAddress {
		dial()
	}
	rejectedSoFar := tr[0].(Measured).Metrics().Rejected
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Fatal("the connection over the bound was kept")
	}
	if got := tr[0].(Measured).Metrics().Rejected; got != rejectedSoFar+1 {
		t.Fatalf("%d rejected, want %d", got, rejectedSoFar+1)
	}
	nonsense := silent[0]
	_, err := nonsense.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	must(t, err)
	if _, err := nonsense.Read(make([]byte, 1)); err == nil {
		t.Fatal("nonsense was answered")
	}
	r[0].until(t, "a frame", func() bool { // one place is free again
		must(t, tr[1].SendFrame(tr[0].Addr(), []byte("frame")))
		return len(r[0].got().frames) > 0
	})
}

// The machine's answer to a datagram that nobody wanted comes back as a refusal, where the system tells.
func TestADatagramToNobodyIsRefused(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	tr := openNet(t, 3)
	r := start(t, tr[0], tr[2])
	defer func() { must(t, errors.Join(tr[0].Close(), tr[2].Close())) }()
	must(t, tr[1].Close())
	r[0].until(t, "a refusal", func() bool {
		must(t, tr[0].SendDatagram(tr[1].Addr(), 0, []byte("anybody?")))
		return len(r[0].got().refused) > 0
	})
	if r[0].got().refused[0] != tr[1].Addr() {
		t.Fatalf("%v refused, want %v", r[0].got().refused[0], tr[1].Addr())
	}
	// The pending error of one peer takes nothing from another.
	must(t, tr[0].SendDatagram(tr[1].Addr(), 0, []byte("anybody?")))
	must(t, tr[0].SendDatagram(tr[2].Addr(), 0, []byte("hello")))
	r[1].until(t, "a datagram", func() bool { return len(r[1].got().datagrams) > 0 })
}
