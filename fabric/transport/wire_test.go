package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"testing"
	"testing/iotest"
	"time"
)

func shake(ring *Keyring, boot uint64, addr string) handshake {
	return handshake{ring: ring, self: Identity{Node: [16]byte{byte(boot)}, Boot: boot}, addr: netip.MustParseAddrPort(addr), cluster: ClusterID{3}, suite: suiteChaCha}
}

func TestAHelloIsReadAsWritten(t *testing.T) {
	for _, ring := range []*Keyring{nil, NewKeyring(testKey(1))} {
		for _, addr := range []string{"127.0.0.1:7946", "[::1]:1", "[2001:db8::1]:65535"} {
			own, key := shake(ring, 5, addr).hello()
			wire := bytes.Clone(own.body)
			if ring != nil {
				wire = append(wire, own.tag(key, keyHello, nil)...)
			}
			if len(wire) > MaxHello {
				t.Fatalf("%d bytes", len(wire))
			}
			r := bytes.NewReader(append(wire, "rest"...))
			got, tag, err := readHello(iotest.OneByteReader(r))
			must(t, err)
			if got.addr != own.addr || got.who != own.who || got.cluster != own.cluster || got.sealed != own.sealed || r.Len() != len("rest") {
				t.Errorf("%+v, want %+v, %d bytes left", got, own, r.Len())
			}
			if ring != nil && (!got.proves(key, keyHello, nil, tag) || got.proves(key, keyAnswer, nil, tag)) {
				t.Error("the tag does not prove what it should")
			}
		}
	}
}

func TestABadHelloIsRefused(t *testing.T) {
	own, _ := shake(nil, 5, "127.0.0.1:7946").hello()
	good := own.body
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
		{"of HTTP", append([]byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 64)...), errHello},
		{"of another version", change(4, 1), errHelloVersion},
		{"of another form", change(5, 3), errHello},
		{"with an odd address", change(helloFixed-1, 7), errHello},
		{"with port 0", append(bytes.Clone(good[:len(good)-2]), 0, 0), errHello},
		{"with no address", append(bytes.Clone(good[:helloFixed]), 0, 0, 0, 0, 1, 1), errHello},
		{"cut off", good[:len(good)-1], io.ErrUnexpectedEOF},
		{"cut before the address", good[:helloFixed], io.ErrUnexpectedEOF},
		{"empty", nil, io.EOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, _, err := readHello(bytes.NewReader(tc.b)); !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
		})
	}
}

// wired is a connection in memory whose other side has already said what it says.
type wired struct {
	io.Reader
	io.Writer
}

func TestAHandshakeTakesOnlyThoseWithTheKey(t *testing.T) {
	one := NewKeyring(testKey(1))
	rotated := NewKeyring(testKey(1))
	must(t, errors.Join(rotated.Install(1, testKey(2)), rotated.Use(1)))
	for _, tc := range []struct {
		name             string
		dialler, accepts *Keyring
		want             error
	}{
		{"the same key", one, NewKeyring(testKey(1)), nil},
		{"a key that is not in use there", one, rotated, nil},
		{"a key that is not there", rotated, one, errUnknownKey},
		{"another key with this id", one, NewKeyring(testKey(2)), errForged},
		{"plain to sealed", nil, one, errPlain},
		{"sealed to plain", one, nil, errSealed},
		{"plain to plain", nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			own, key := shake(tc.dialler, 5, "127.0.0.1:1").hello()
			wire := bytes.Clone(own.body)
			if key != nil {
				wire = append(wire, own.tag(key, keyHello, nil)...)
			}
			peer, tag, err := readHello(bytes.NewReader(wire))
			must(t, err)
			reply, _, err := shake(tc.accepts, 6, "127.0.0.1:2").answer(&peer, tag)
			if !errors.Is(err, tc.want) || (err != nil) != (reply == nil) {
				t.Fatalf("%v with %d bytes of answer, want %v", err, len(reply), tc.want)
			}
		})
	}
}

func TestAnAnswerBelongsToItsHello(t *testing.T) {
	ring := NewKeyring(testKey(1))
	replies := make([][]byte, 2)
	for i := range replies {
		var said bytes.Buffer
		_, _, _, err := shake(ring, 5, "127.0.0.1:1").dial(wired{iotest.ErrReader(io.EOF), &said})
		if !errors.Is(err, ErrNoAnswer) {
			t.Fatal(err)
		}
		peer, tag, err := readHello(&said)
		must(t, err)
		replies[i], _, err = shake(ring, 6, "127.0.0.1:2").answer(&peer, tag)
		must(t, err)
	}
	for i, reply := range replies { // each answers a hello that was said before
		if _, _, _, err := shake(ring, 5, "127.0.0.1:1").dial(wired{bytes.NewReader(reply), io.Discard}); !errors.Is(err, errForged) {
			t.Errorf("answer %d to another hello: %v", i, err)
		}
	}
}

// record makes the record of a payload.
func record(r *records, payload []byte) []byte {
	return r.finish(append(make([]byte, recordHeader), payload...))
}

func TestARecordIsBoundedAndBelievedOnlyAsFarAsItArrives(t *testing.T) {
	header := func(size uint32) []byte { return binary.LittleEndian.AppendUint32(nil, size) }
	for _, tc := range []struct {
		name string
		b    []byte
		size int
		want error
	}{
		{"empty", record(&records{}, nil), 0, nil},
		{"one step", record(&records{}, make([]byte, readStep)), readStep, nil},
		{"one step and a byte", record(&records{}, make([]byte, readStep+1)), readStep + 1, nil},
		{"the largest", record(&records{}, make([]byte, maxRecord)), maxRecord, nil},
		{"one byte too large", header(maxRecord + 1), 0, errRecordTooLarge},
		{"far too large", header(1<<32 - 1), 0, errRecordTooLarge},
		{"cut off", append(header(maxRecord), 'x'), 0, io.ErrUnexpectedEOF},
		{"with half a header", []byte{1, 0}, 0, io.ErrUnexpectedEOF},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := new(records).read(bytes.NewReader(tc.b), nil)
			if !errors.Is(err, tc.want) || len(got) != tc.size {
				t.Fatalf("%d bytes, %v; want %d, %v", len(got), err, tc.size, tc.want)
			}
			if tc.want != nil && cap(got) > 2*readStep {
				t.Fatalf("%d bytes were allocated for %d", cap(got), len(tc.b))
			}
		})
	}
}

func TestSealedRecordsOpenInTheirOrderOnly(t *testing.T) {
	aead := suiteAES.aead(make([]byte, 32))
	out := &records{aead: aead}
	var wire [][]byte
	for _, text := range []string{"one", "two", "three"} {
		wire = append(wire, record(out, []byte(text)))
	}
	flipped := bytes.Clone(wire[0])
	flipped[recordHeader] ^= 1
	for _, tc := range []struct {
		name  string
		order [][]byte
		taken int
	}{
		{"as sent", wire, 3},
		{"one missing", [][]byte{wire[0], wire[2]}, 1},
		{"one twice", [][]byte{wire[0], wire[0]}, 1},
		{"out of place", [][]byte{wire[1], wire[0]}, 0},
		{"changed", [][]byte{flipped}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, r := &records{aead: aead}, bytes.NewReader(bytes.Join(tc.order, nil))
			taken := 0
			var err error
			for err == nil {
				if _, err = in.read(r, nil); err == nil {
					taken++
				}
			}
			if taken != tc.taken || tc.taken < len(tc.order) && !errors.Is(err, errForged) {
				t.Fatalf("%d taken, want %d: %v", taken, tc.taken, err)
			}
		})
	}
}

func FuzzHello(f *testing.F) {
	ring := NewKeyring(testKey(1))
	own, key := shake(ring, 5, "127.0.0.1:7946").hello()
	own.random = [helloRandom]byte{1} // all workers have the same
	own.body = own.encode()
	f.Add(append(bytes.Clone(own.body), own.tag(key, keyHello, nil)...))
	plain, _ := shake(nil, 5, "[::1]:7946").hello()
	f.Add(plain.body)
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, tag, err := readHello(bytes.NewReader(b))
		if err != nil {
			return
		}
		if !h.addr.IsValid() || h.addr.Port() == 0 {
			t.Fatalf("accepted %v", h.addr)
		}
		if again := h.encode(); !h.sealed && h.addr.Addr().Is6() && !bytes.Equal(again[helloFixed:], h.body[helloFixed:]) {
			t.Fatalf("%x read as %x", h.body, again)
		}
		if h.sealed && h.proves(key, keyHello, nil, tag) && !bytes.Equal(h.body, own.body) {
			t.Fatal("a forged hello proves something")
		}
	})
}

// A session takes any records without panic, and its account stays within bounds.
func FuzzRecord(f *testing.F) {
	h := head{kind: kindEcho, left: time.Second}
	f.Add(false, appendChunk(nil, chunk{chunkRequest, true, 1, append(h.append(nil), "hello"...)}))
	h.kind = kindBulk
	open := appendChunk(nil, chunk{chunkOpen, false, 1, h.append(nil)})
	open = appendChunk(open, chunk{chunkMore, true, 1, []byte("more")})
	f.Add(false, appendChunk(open, chunk{chunkWindow, true, 1, []byte{0, 0, 0, 0}}))
	f.Add(false, appendChunk(nil, chunk{chunkFrame, true, 0, []byte("frame")}))
	f.Add(true, appendChunk(nil, chunk{chunkResponse, true, 1, []byte{0, 1}}))
	f.Add(true, appendChunk(nil, chunk{chunkCancel, true, 2, []byte{1}}))
	f.Fuzz(func(t *testing.T, dialler bool, record []byte) {
		x := &exchange{}
		x.Handle(kindEcho, echo)
		x.HandleStream(kindBulk, func(_ context.Context, _ From, s Stream) { _, _ = io.Copy(io.Discard, s) })
		s := newSession(x, dialler, func() {})
		s.frame = func(_ netip.AddrPort, b []byte) {
			if len(b) > MaxFrame {
				t.Errorf("a frame of %d bytes", len(b))
			}
		}
		if dialler {
			c, err := s.ask(t.Context(), kindEcho, []byte("request"))
			must(t, err)
			_, err = s.open(t.Context(), kindBulk)
			must(t, err)
			_, _ = s.fill(nil, 0)
			defer func() { <-c.done }()
		}
		_ = s.receive(record, 0) // any error is right
		s.mu.Lock()
		if s.held > MaxHeldBytes || len(s.served)+len(s.streams) > MaxServed {
			t.Errorf("%d bytes held, %d served", s.held, len(s.served))
		}
		s.mu.Unlock()
		s.close(ErrClosed)
		x.serving.Wait()
		if s.held != 0 || len(s.served)+len(s.streams)+len(s.calls) != 0 {
			t.Errorf("left: %d bytes, %d served, %d streams, %d calls", s.held, len(s.served), len(s.streams), len(s.calls))
		}
	})
}
