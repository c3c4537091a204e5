package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/iotest"
)

func TestAPreambleIsReadAsWritten(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:7946", "[::1]:1", "[2001:db8::1]:65535"} {
		want := netip.MustParseAddrPort(addr)
		r := bytes.NewReader(append(newPreamble(want), "rest"...))
		got, err := readPreamble(iotest.OneByteReader(r))
		if err != nil || got != want || r.Len() != len("rest") {
			t.Errorf("%v: %v, %v, %d bytes left", want, got, err, r.Len())
		}
	}
}

func TestABadPreambleIsRefused(t *testing.T) {
	good := newPreamble(netip.MustParseAddrPort("127.0.0.1:7946"))
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want error
	}{
		{"of HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), errPreamble},
		{"of another version", change(4, 2), errPreambleVersion},
		{"with an odd address", change(5, 7), errPreamble},
		{"with port 0", append(bytes.Clone(good[:10]), 0, 0), errPreamble},
		{"with no address", append(bytes.Clone(good[:6]), 0, 0, 0, 0, 1, 1), errPreamble},
		{"cut off", good[:len(good)-1], io.ErrUnexpectedEOF},
		{"empty", nil, io.EOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := readPreamble(bytes.NewReader(tc.b)); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestAFrameIsBoundedAndBelievedOnlyAsFarAsItArrives(t *testing.T) {
	header := func(size uint32) []byte { return binary.LittleEndian.AppendUint32(nil, size) }
	for _, tc := range []struct {
		name string
		b    []byte
		size int
		want error
	}{
		{"empty", newFrame(nil), 0, nil},
		{"one step", newFrame(make([]byte, readStep)), readStep, nil},
		{"one step and a byte", newFrame(make([]byte, readStep+1)), readStep + 1, nil},
		{"the largest", newFrame(make([]byte, MaxFrame)), MaxFrame, nil},
		{"one byte too large", header(MaxFrame + 1), 0, errFrameTooLarge},
		{"far too large", header(1<<32 - 1), 0, errFrameTooLarge},
		{"cut off", append(header(MaxFrame), 'x'), 0, io.ErrUnexpectedEOF},
		{"with half a header", []byte{1, 0}, 0, io.ErrUnexpectedEOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := readFrame(bytes.NewReader(tc.b), nil)
			if !errors.Is(err, tc.want) || len(got) != tc.size {
				t.Fatalf("%d bytes, %v; want %d, %v", len(got), err, tc.size, tc.want)
			}
			if tc.want != nil && cap(got) > 2*readStep {
				t.Fatalf("%d bytes were allocated for %d", cap(got), len(tc.b))
			}
		})
	}
}

func FuzzStream(f *testing.F) {
	preamble := newPreamble(netip.MustParseAddrPort("127.0.0.1:7946"))
	f.Add(append(preamble, newFrame([]byte("hello"))...))
	f.Add(append(preamble, 0xff, 0xff, 0x0f, 0))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)
		from, err := readPreamble(r)
		if err != nil {
			return
		}
		if !from.IsValid() || from.Port() == 0 {
			t.Fatalf("accepted %v", from)
		}
		if again := newPreamble(from); len(again) > len(stream) {
			t.Fatal("a preamble longer than what was read")
		}
		var frame []byte
		for {
			before := r.Len()
			if frame, err = readFrame(r, frame); err != nil {
				break
			}
			if len(frame) > MaxFrame || before-r.Len() != frameHeader+len(frame) {
				t.Fatalf("a frame of %d bytes from %d", len(frame), before-r.Len())
			}
		}
		if cap(frame) > 4*max(len(stream), readStep) {
			t.Fatalf("%d bytes allocated for %d received", cap(frame), len(stream))
		}
	})
}

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
		must(t, tr[0].SendDatagram(tr[1].Addr(), []byte("anybody?")))
		return len(r[0].got().refused) > 0
	})
	if r[0].got().refused[0] != tr[1].Addr() {
		t.Fatalf("%v refused, want %v", r[0].got().refused[0], tr[1].Addr())
	}
	// The pending error of one peer takes nothing from another.
	must(t, tr[0].SendDatagram(tr[1].Addr(), []byte("anybody?")))
	must(t, tr[0].SendDatagram(tr[2].Addr(), []byte("hello")))
	r[1].until(t, "a datagram", func() bool { return len(r[1].got().datagrams) > 0 })
}
