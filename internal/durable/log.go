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
	// ErrDamaged says that a record in the middle of a log is not what was written: not the work of a power cut.
	ErrDamaged = errors.New("damaged")
	// ErrSpoiled says that a write or a sync has failed before. What of it is on disk cannot be known, so the log takes
	// nothing any more.
	ErrSpoiled = errors.New("an earlier write failed")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A log begins with logMagic; each record is
//
//	| bytes | meaning                                                                                         |
//	|-------|-------------------------------------------------------------------------------------------------|
//	| 4     | length of the payload, little-endian                                                            |
//	| 4     | CRC-32C of the payload                                                                          |
//	| 4     | CRC-32C of the eight bytes before, and of the record's place in the file: no other place has it |
//	| n     | payload                                                                                         |
const (
	logMagic       = "egallog1"
	logHeaderBytes = 12
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

// OpenLog opens the log, or makes an empty one, and gives the records it holds, in order. A last record that a power cut
// has torn is dropped: its Append never returned. A damaged one with others after it is ErrDamaged. The file may have up
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
	records, whole, err := readLog(content)
	if err != nil {
		return nil, nil, fmt.Errorf("durable: read %s: %w", path, err)
	}
	if whole < len(content) {
		if err := WriteFile(fsys, path, content[:whole]); err != nil {
			return nil, nil, err
		}
	}
	return l, records, l.open(int64(whole))
}

// readLog splits the content of a log into records, and says how many bytes of it are whole.
func readLog(content []byte) (records [][]byte, whole int, err error) {
	if len(content) < len(logMagic) || string(content[:len(logMagic)]) != logMagic {
		return nil, 0, fmt.Errorf("%w: it does not begin as a log does", ErrDamaged)
	}
	for at := len(logMagic); at < len(content); {
		record, ok := recordAt(content, at)
		if !ok {
			for later := at + 1; later < len(content); later++ {
				if _, ok := recordAt(content, later); ok {
					return nil, 0, fmt.Errorf("%w: record %d, at byte %d, and others follow it", ErrDamaged, len(records), at)
				}
			}
			return records, at, nil
		}
		records = append(records, record)
		at += logHeaderBytes + len(record)
	}
	return records, len(content), nil
}

// recordAt is the record that begins at a place of a log; not ok: none does.
func recordAt(content []byte, at int) (record []byte, ok bool) {
	b := content[at:]
	if len(b) < logHeaderBytes || headerSum(b[:8], int64(at)) != binary.LittleEndian.Uint32(b[8:]) {
		return nil, false
	}
	length := binary.LittleEndian.Uint32(b)
	if length > MaxLogRecord || int(length) > len(b)-logHeaderBytes {
		return nil, false
	}
	record = b[logHeaderBytes : logHeaderBytes+int(length)]
	return record, crc32.Checksum(record, castagnoli) == binary.LittleEndian.Uint32(b[4:])
}

// appendRecord appends a record that will lie at a place of the file.
func appendRecord(dst, record []byte, at int64) []byte {
	from := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(record)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(record, castagnoli))
	dst = binary.LittleEndian.AppendUint32(dst, headerSum(dst[from:from+8], at))
	return append(dst, record...)
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

// Append adds records and returns once they survive a power cut. After an error of the disk nothing is taken any more:
// ErrSpoiled.
func (l *Log) Append(records ...[]byte) error {
	if l.spoiled != nil {
		return l.spoiled
	}
	l.scratch = l.scratch[:0]
	for _, record := range records {
		if len(record) > MaxLogRecord {
			return fmt.Errorf("durable: append to %s: %w: a record of %d bytes", l.path, ErrTooLarge, len(record))
		}
		l.scratch = appendRecord(l.scratch, record, l.size+int64(len(l.scratch)))
	}
	size := int64(len(l.scratch))
	_, err := l.file.WriteAt(l.scratch, l.size)
	if err == nil {
		err = l.file.SyncData()
	}
	if err != nil {
		l.spoiled = fmt.Errorf("durable: append to %s: %w: %w", l.path, ErrSpoiled, err)
		return fmt.Errorf("durable: append to %s: %w", l.path, err)
	}
	l.size += size
	return nil
}

// Replace makes records the whole content, and returns once that survives a power cut. Until then the old content does.
func (l *Log) Replace(records [][]byte) error {
	if l.spoiled != nil {
		return l.spoiled
	}
	content := []byte(logMagic)
	for _, record := range records {
		if len(record) > MaxLogRecord {
			return fmt.Errorf("durable: replace %s: %w: a record of %d bytes", l.path, ErrTooLarge, len(record))
		}
		content = appendRecord(content, record, int64(len(content)))
	}
	err := WriteFile(l.fs, l.path, content)
	if err == nil && l.file != nil {
		err = l.file.Close()
	}
	if err == nil {
		err = l.open(int64(len(content)))
	}
	if err != nil {
		l.spoiled = fmt.Errorf("%w: %w", ErrSpoiled, err)
	}
	return err
}

// Size is how many bytes the file has.
func (l *Log) Size() int64 { return l.size }

// Close closes the file. What was appended is on disk already.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
