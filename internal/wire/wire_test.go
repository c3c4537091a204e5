package wire

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestWhatIsAppendedIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u16, u32, u64 := rapid.Uint16().Draw(t, "u16"), rapid.Uint32().Draw(t, "u32"), rapid.Uint64().Draw(t, "u64")
		varint, flag := rapid.Uint64().Draw(t, "varint"), rapid.Bool().Draw(t, "flag")
		text := rapid.String().Draw(t, "text")
		b := AppendBytes(AppendBool(AppendUvarint(AppendUint64(AppendUint32(AppendUint16(nil, u16), u32), u64), varint), flag), text)
		r := NewReader(b)
		if r.Uint16() != u16 || r.Uint32() != u32 || r.Uint64() != u64 || r.Uvarint() != varint || r.Bool() != flag || r.String(1<<20) != text {
			t.Fatal("a value changed on the way")
		}
		if err := r.Done(); err != nil {
			t.Fatal(err)
		}
		for cut := range len(b) {
			r := NewReader(b[:cut])
			r.Uint16()
			r.Uint32()
			r.Uint64()
			r.Uvarint()
			r.Bool()
			r.Bytes(1 << 20)
			if !errors.Is(r.Done(), ErrTruncated) {
				t.Fatalf("cut at %d of %d: %v", cut, len(b), r.Err())
			}
		}
	})
}

func TestBounds(t *testing.T) {
	declared := AppendUvarint(nil, 1<<40)
	for _, tc := range []struct {
		name string
		b    []byte
		read func(*Reader)
		want error
	}{
		{"bytes at the maximum", AppendBytes(nil, "abc"), func(r *Reader) { r.Bytes(3) }, nil},
		{"bytes one above", AppendBytes(nil, "abc"), func(r *Reader) { r.Bytes(2) }, ErrTooLong},
		{"a huge declared length", declared, func(r *Reader) { r.Bytes(1 << 50) }, ErrTruncated},
		{"a huge declared count", declared, func(r *Reader) { r.Count(1<<50, 1) }, ErrTruncated},
		{"count at the maximum", []byte{2, 7, 7}, func(r *Reader) { r.Raw(r.Count(2, 1)) }, nil},
		{"count above the maximum", AppendUvarint(nil, 3), func(r *Reader) { r.Count(2, 1) }, ErrTooLong},
		{"varint over 64 bits", bytes.Repeat([]byte{0xff}, 11), func(r *Reader) { r.Uvarint() }, ErrMalformed},
		{"varint with a needless byte", []byte{0x80, 0}, func(r *Reader) { r.Uvarint() }, ErrMalformed},
		{"a boolean of 2", []byte{2}, func(r *Reader) { r.Bool() }, ErrMalformed},
		{"bytes left over", []byte{1, 2}, func(r *Reader) { r.Uint8() }, ErrTrailing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := NewReader(tc.b)
			tc.read(r)
			if err := r.Done(); !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestOpenRefusesEveryFlippedBit(t *testing.T) {
	record := Seal(1, []byte("payload"))
	if v, p, err := Open(record, 1); v != 1 || string(p) != "payload" || err != nil {
		t.Fatal(v, p, err)
	}
	for bit := range len(record) * 8 {
		damaged := bytes.Clone(record)
		damaged[bit/8] ^= 1 << (bit % 8)
		if _, _, err := Open(damaged, 255); !errors.Is(err, ErrChecksum) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	if _, _, err := Open(record, 0); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
	if _, _, err := Open(record[:4], 1); !errors.Is(err, ErrTruncated) {
		t.Fatal(err)
	}
}

// The hash is part of the wire format: these values must never change.
func TestHash64IsStable(t *testing.T) {
	for _, tc := range []struct {
		seed uint64
		in   string
		want uint64
	}{{0, "", 0x5b21f68ffa77f14c}, {7, "egal", 0x6f9679476548dc88}} {
		if got := Hash64(tc.seed, tc.in); got != tc.want {
			t.Errorf("Hash64(%d, %q) = %#x, want %#x", tc.seed, tc.in, got, tc.want)
		}
	}
	if got := Mix64(1); got != 0x910a2dec89025cc1 { // SplitMix64's first output from state 1
		t.Errorf("Mix64(1) = %#x", got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0, 1, 2, 3, 4, 5, 6})
	f.Fuzz(func(t *testing.T, program, input []byte) {
		r := NewReader(input)
		for _, op := range program {
			before := r.Remaining()
			switch op % 8 {
			case 0:
				r.Uint8()
			case 1:
				r.Uint16()
			case 2:
				r.Uint32()
			case 3:
				r.Uint64()
			case 4:
				r.Uvarint()
			case 5:
				if len(r.Bytes(int(op))) > int(op) {
					t.Fatal("more bytes than the maximum")
				}
			case 6:
				if n := r.Count(1<<30, 3); n*3 > before {
					t.Fatalf("a count of %d from %d bytes", n, before)
				}
			case 7:
				r.Bool()
			}
			if r.Remaining() > before {
				t.Fatal("the reader went backwards")
			}
		}
		_, _, _ = Open(input, 1)
	})
}
