package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
)

// A stream begins with a preamble, followed by frames; it carries frames in one direction only.
//
//	| bytes | preamble                                                              |
//	|-------|-----------------------------------------------------------------------|
//	| 4     | "EGAL"                                                                |
//	| 1     | version, 1                                                            |
//	| 1     | length of the address, 6 or 18                                        |
//	| n     | the sender's advertised address: IP (4 or 16), port (2 little-endian) |
//
//	| bytes | frame                                 |
//	|-------|---------------------------------------|
//	| 4     | length, little-endian, up to MaxFrame |
//	| n     | payload                               |
const (
	preambleMagic   = "EGAL"
	preambleVersion = 1
	preambleFixed   = len(preambleMagic) + 2
	frameHeader     = 4
	// readStep is how much a frame's buffer grows before that much has been received.
	readStep = 64 << 10
)

var (
	errPreamble        = errors.New("not an egal fabric stream")
	errPreambleVersion = errors.New("unknown version of the fabric stream")
	errFrameTooLarge   = errors.New("frame over the maximum")
)

// newPreamble is the preamble of a sender that is reached at addr.
func newPreamble(addr netip.AddrPort) []byte {
	ip := addr.Addr().Unmap().WithZone("").AsSlice()
	b := append([]byte(preambleMagic), preambleVersion, byte(len(ip)+2))
	b = append(b, ip...)
	return binary.LittleEndian.AppendUint16(b, addr.Port())
}

// readPreamble reads a preamble and nothing beyond it.
func readPreamble(r io.Reader) (netip.AddrPort, error) {
	var fixed [preambleFixed]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return netip.AddrPort{}, err
	}
	if string(fixed[:len(preambleMagic)]) != preambleMagic {
		return netip.AddrPort{}, errPreamble
	}
	if version := fixed[len(preambleMagic)]; version != preambleVersion {
		return netip.AddrPort{}, fmt.Errorf("%w: %d", errPreambleVersion, version)
	}
	size := int(fixed[preambleFixed-1])
	if size != 4+2 && size != 16+2 {
		return netip.AddrPort{}, fmt.Errorf("%w: address of %d bytes", errPreamble, size)
	}
	var rest [16 + 2]byte
	if _, err := io.ReadFull(r, rest[:size]); err != nil {
		return netip.AddrPort{}, err
	}
	ip, _ := netip.AddrFromSlice(rest[:size-2])
	from := netip.AddrPortFrom(ip.Unmap(), binary.LittleEndian.Uint16(rest[size-2:size]))
	if from.Port() == 0 || from.Addr().IsUnspecified() {
		return netip.AddrPort{}, fmt.Errorf("%w: advertised address %s", errPreamble, from)
	}
	return from, nil
}

// newFrame is a frame ready to be written: header and a copy of payload.
func newFrame(payload []byte) []byte {
	frame := make([]byte, frameHeader, frameHeader+len(payload))
	binary.LittleEndian.PutUint32(frame, uint32(len(payload)))
	return append(frame, payload...)
}

// readFrame reads one frame into buffer, which it returns grown. The buffer never grows more than readStep ahead of
// what has been received.
func readFrame(r io.Reader, buffer []byte) ([]byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return buffer[:0], err
	}
	size := binary.LittleEndian.Uint32(header[:])
	if size > MaxFrame {
		return buffer[:0], fmt.Errorf("%w: %d bytes", errFrameTooLarge, size)
	}
	buffer = buffer[:0]
	for len(buffer) < int(size) {
		have := len(buffer)
		step := min(int(size)-have, readStep)
		buffer = slices.Grow(buffer, step)[:have+step]
		if _, err := io.ReadFull(r, buffer[have:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return buffer[:0], err
		}
	}
	return buffer, nil
}
