package durable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// MaxLogRecord is the most bytes one record of a Log has.
const MaxLogRecord = 4 << 20

// Errors of a Log; test with errors.Is.
var (
	// ErrDamaged says that records of a log are not what was written: not the work of a power cut.
	ErrDamaged = errors.New("damaged")
	// ErrSpoiled says that a write or a sync has failed before. What of it is on disk cannot be known, so the log takes
	// nothing any more.
	ErrSpoiled = errors.New("an earlier write failed")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A log begins with logMagic. The records of one Append lie together in a frame, since a power cut may leave any part of
// what was written at once:
//
//	| bytes | meaning                                                                                         |
//	|-------|-------------------------------------------------------------------------------------------------|
//	| 4     | length of the payload, little-endian                                                            |
//	| 4     | CRC-32C of the payload                                                                          |
//	| 4     | CRC-32C of the eight bytes before, and of the frame's place in the file: no other place has it  |
//	| n     | payload: records, each with its length before it, a varint                                      |
//
// Behind the last frame lies a seal, which the next one takes the place of: a header alone, whose length is sealLength.
// It is written once the frame is durable, and is not synced itself. A frame that is not whole was torn on its way,
// unless a seal or another frame follows it: then it was confirmed, and is damaged.
const (
	logMagic         = "egallog2"
	frameHeaderBytes = 12
	sealLength       = 1<<32 - 1
	maxFrame         = 1<<31 - 1
)

// Log is a file of records that is only appended to, and replaced as a whole when its owner has condensed it. It is for
// one goroutine.
type Log struct {
	fs      FS
	path    string
	file    vfs.File
	size    int64
	scratch []byte
	spoiled error
}

// OpenLog opens the log, or makes an empty one, and gives the records it holds, in order. What a power cut has torn at
// its end is dropped: its Append never returned. ErrDamaged: records are gone that were appended. The file may have up
// to limit bytes.
func OpenLog(fsys FS, path string, limit int) (*Log, [][]byte, error) {
	l := &Log{fs: fsys, path: path}
	content, err := ReadFile(fsys, path, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil, l.Replace(nil)
	}
	if err != nil {
		return nil, nil, err
	}
	records, end, err := readLog(content)
	if err != nil {
		return nil, nil, fmt.Errorf("durable: read %s: %w", path, err)
	}
	if len(content) != end+frameHeaderBytes || !sealAt(content, end) {
		if err := WriteFile(fsys, path, appendSeal(content[:end:end], int64(end))); err != nil {
			return nil, nil, err
		}
	}
	return l, records, l.open(int64(end))
}

// readLog splits the content of a log into records, and says where the last frame ends.
func readLog(content []byte) (records [][]byte, end int, err error) {
	if len(content) < len(logMagic) || string(content[:len(logMagic)]) != logMagic {
		return nil, 0, fmt.Errorf("%w: it does not begin as a log does", ErrDamaged)
	}
	at := len(logMagic)
	for {
		payload, ok := frameAt(content, at)
		if !ok {
			break
		}
		if records, ok = splitFrame(records, payload); !ok {
			return nil, 0, fmt.Errorf("%w: the frame at byte %d", ErrDamaged, at)
		}
		at += frameHeaderBytes + len(payload)
	}
	for later := at + 1; later < len(content); later++ {
		if _, ok := frameAt(content, later); ok || sealAt(content, later) {
			return nil, 0, fmt.Errorf("%w: after record %d, at byte %d, while what follows is whole", ErrDamaged, len(records), at)
		}
	}
	return records, at, nil
}

// frameAt is the payload of the frame that begins at a place of a log; not ok: none does.
func frameAt(content []byte, at int) (payload []byte, ok bool) {
	b := content[at:]
	length, ok := headerAt(content, at)
	if !ok || length > maxFrame || int(length) > len(b)-frameHeaderBytes {
		return nil, false
	}
	payload = b[frameHeaderBytes : frameHeaderBytes+int(length)]
	return payload, crc32.Checksum(payload, castagnoli) == binary.LittleEndian.Uint32(b[4:])
}

// sealAt reports whether a seal lies at a place of a log.
func sealAt(content []byte, at int) bool {
	length, ok := headerAt(content, at)
	return ok && length == sealLength
}

// headerAt is the length that a header says; not ok: there is none.
func headerAt(content []byte, at int) (length uint32, ok bool) {
	b := content[at:]
	if len(b) < frameHeaderBytes || headerSum(b[:8], int64(at)) != binary.LittleEndian.Uint32(b[8:]) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b), true
}

// splitFrame appends the records of a frame.
func splitFrame(records [][]byte, payload []byte) (all [][]byte, ok bool) {
	for len(payload) > 0 {
		length, n := binary.Uvarint(payload)
		if n <= 0 || length > MaxLogRecord || int(length) > len(payload)-n {
			return records, false
		}
		records, payload = append(records, payload[n:n+int(length)]), payload[n+int(length):]
	}
	return records, true
}

// appendFrame appends a frame that will lie at a place of the file.
func appendFrame(dst []byte, at int64, records ...[]byte) ([]byte, error) {
	from := len(dst)
	dst = append(dst, make([]byte, frameHeaderBytes)...)
	for _, record := range records {
		if len(record) > MaxLogRecord {
			return nil, fmt.Errorf("%w: a record of %d bytes", ErrTooLarge, len(record))
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(record))), record...)
	}
	header, payload := dst[from:from+frameHeaderBytes], dst[from+frameHeaderBytes:]
	if len(payload) > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes at once", ErrTooLarge, len(payload))
	}
	putHeader(header, uint32(len(payload)), crc32.Checksum(payload, castagnoli), at)
	return dst, nil
}

func appendSeal(dst []byte, at int64) []byte {
	dst = append(dst, make([]byte, frameHeaderBytes)...)
	putHeader(dst[len(dst)-frameHeaderBytes:], sealLength, 0, at)
	return dst
}

func putHeader(header []byte, length, sum uint32, at int64) {
	binary.LittleEndian.PutUint32(header, length)
	binary.LittleEndian.PutUint32(header[4:], sum)
	binary.LittleEndian.PutUint32(header[8:], headerSum(header[:8], at))
}

func headerSum(header []byte, at int64) uint32 {
	var place [8]byte
	binary.LittleEndian.PutUint64(place[:], uint64(at))
	return crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, place[:])
}

func (l *Log) open(size int64) error {
	file, err := l.fs.OpenReadWrite(l.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("durable: open %s: %w", l.path, err)
	}
	l.file, l.size = file, size
	return nil
}

// Append adds records, all or none of them, and returns once they survive a power cut. After an error of the disk
// nothing is taken any more: ErrSpoiled.
func (l *Log) Append(records ...[]byte) error {
	if l.spoiled != nil {
		return l.spoiled
	}
	frame, err := appendFrame(l.scratch[:0], l.size, records...)
	if err != nil {
		return fmt.Errorf("durable: append to %s: %w", l.path, err)
	}
	size := l.size + int64(len(frame))
	if _, err = l.file.WriteAt(frame, l.size); err == nil {
		err = l.file.SyncData()
	}
	if err == nil {
		_, err = l.file.WriteAt(appendSeal(nil, size), size)
	}
	if err != nil {
		l.spoiled = fmt.Errorf("durable: append to %s: %w: %w", l.path, ErrSpoiled, err)
		return fmt.Errorf("durable: append to %s: %w", l.path, err)
	}
	l.size, l.scratch = size, frame
	return nil
}

// Replace makes records the whole content, and returns once that survives a power cut. Until then the old content does.
func (l *Log) Replace(records [][]byte) error {
	if l.spoiled != nil {
		return l.spoiled
	}
	content := []byte(logMagic)
	for _, record := range records {
		var err error
		if content, err = appendFrame(content, int64(len(content)), record); err != nil {
			return fmt.Errorf("durable: replace %s: %w", l.path, err)
		}
	}
	size := int64(len(content))
	err := WriteFile(l.fs, l.path, appendSeal(content, size))
	if err == nil && l.file != nil {
		err = l.file.Close()
	}
	if err == nil {
		err = l.open(size)
	}
	if err != nil {
		l.spoiled = fmt.Errorf("%w: %w", ErrSpoiled, err)
	}
	return err
}

// Size is how many bytes the file has, but for its seal.
func (l *Log) Size() int64 { return l.size }

// Close closes the file. What was appended is on disk already; its seal is from now on.
func (l *Log) Close() error {
	switch {
	case l.file == nil:
		return nil
	case l.spoiled != nil:
		return l.file.Close()
	}
	return errors.Join(l.file.SyncData(), l.file.Close())
}
