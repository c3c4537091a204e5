package transport

import (
	"bufio"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// link is an open stream: a connection after the hellos, and the session that it carries.
type link struct {
	raw     net.Conn // below TLS
	conn    net.Conn
	reader  *bufio.Reader
	session *session
	epoch   uint64
	secrets secrets
	proof   *proof
	in, out records
}

const inboundBuffer = 4 << 10

var errKeyRemoved = errors.New("the key of this stream was removed")

func newLink(raw, conn net.Conn, reader *bufio.Reader, s *session, epoch uint64, keys secrets, p *proof) *link {
	return &link{
		raw: raw, conn: conn, reader: reader, session: s, epoch: epoch, secrets: keys, proof: p,
		in: records{aead: keys.open}, out: records{aead: keys.send},
	}
}

func newReader(conn net.Conn) *bufio.Reader { return bufio.NewReaderSize(conn, inboundBuffer) }

// trusted checks what the stream stands on, which may have changed since it was opened.
func (l *link) trusted() error {
	if l.secrets.key != nil && !l.secrets.ring.holds(l.secrets.key) {
		return errKeyRemoved
	}
	return l.proof.holds()
}

// read takes records until the stream ends. idle bounds the time without any, unless something is going on; 0 does
// not. first, if there is one, is called with the first record, which must come within helloTimeout.
func (l *link) read(idle time.Duration, first func()) error {
	var buffer []byte
	for {
		wait := idle
		if first != nil {
			wait = helloTimeout
		}
		if err := l.await(wait, func() { buffer = nil }); err != nil {
			return err
		}
		_ = l.conn.SetReadDeadline(time.Now().Add(recordTimeout)) // an error shows in the read
		record, err := l.in.read(l.reader, buffer)
		if err == nil {
			err = l.trusted()
		}
		if err != nil {
			return err
		}
		if first != nil {
			first()
			first = nil
		}
		if err := l.session.receive(record, l.epoch); err != nil {
			return err
		}
		buffer = record[:0]
	}
}

// restsAfter is after how long without anything a stream gives its buffers back.
const restsAfter = time.Second

// await waits for the next record to begin. rests is called when nothing comes for a while.
func (l *link) await(idle time.Duration, rests func()) error {
	if l.reader.Buffered() > 0 {
		return nil
	}
	begin, wait := time.Now(), restsAfter
	if idle > 0 {
		wait = min(wait, idle)
	}
	_ = l.conn.SetReadDeadline(begin.Add(wait)) // an error shows in the read
	for {
		_, err := l.reader.Peek(1)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		rests()
		if idle == 0 {
			_ = l.conn.SetReadDeadline(time.Time{}) // as above
			continue
		}
		if time.Since(begin) >= idle {
			if !l.session.busy() {
				return err
			}
			begin = time.Now()
		}
		_ = l.conn.SetReadDeadline(begin.Add(idle)) // as above
	}
}

// write sends records until the connection breaks, the session goes on to another epoch, or nothing is going on for the
// idle time, where 0 waits for ever. greeting comes before the first record. wake says that there is something to send.
func (l *link) write(greeting []byte, idle time.Duration, wake, broken, stop <-chan struct{}) (used, idled bool) {
	var expired <-chan time.Time
	var timer *time.Timer
	if idle > 0 {
		timer = time.NewTimer(idle)
		defer timer.Stop()
		expired = timer.C
	}
	rest := time.NewTimer(restsAfter)
	defer rest.Stop()
	buffer := greeting
	begin := len(greeting) > 0 || l.secrets.key != nil // the first record proves that we hold the key
	for {
		if timer != nil && !begin && l.secrets.outdated() && !l.session.answering() {
			return used, true // what waits goes over the next stream, under the key in use
		}
		at := len(buffer)
		record, ok := l.session.fill(append(buffer, make([]byte, recordHeader)...), l.epoch)
		if !ok || l.trusted() != nil {
			return used, false
		}
		some := len(record) > at+recordHeader
		if some || begin {
			sealed := l.out.finish(record[at:])
			_ = l.conn.SetWriteDeadline(time.Now().Add(recordTimeout)) // an error shows in the write
			if _, err := l.conn.Write(append(record[:at], sealed...)); err != nil {
				return used, false
			}
			used, begin = used || some, false
			if buffer = record[:0]; timer != nil {
				timer.Reset(idle)
			}
			if cap(buffer) > readStep {
				rest.Reset(restsAfter)
			}
			continue
		}
		select {
		case <-rest.C:
			buffer = nil
		case <-stop:
			return used, false
		case <-broken:
			return used, false
		case <-wake:
		case <-expired:
			if !l.session.busy() {
				return used, true
			}
			timer.Reset(idle)
		}
	}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
