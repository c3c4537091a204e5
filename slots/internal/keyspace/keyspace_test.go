package keyspace

import (
	"fmt"
	"reflect"
	"testing"
)

func TestSlotsOfTheSpecification(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0x31c3 {
		t.Fatalf("crc16 = %#x", got)
	}
	same := func(name, tag string) {
		t.Helper()
		if got, want := SlotOf([]byte(name)), Slot(crc16([]byte(tag))%Slots); got != want {
			t.Errorf("slot of %q = %d, want that of %q, %d", name, got, tag, want)
		}
	}
	same("{user1000}.following", "user1000")
	same("{user1000}.followers", "user1000")
	same("foo{}{bar}", "foo{}{bar}")
	same("foo{{bar}}zap", "{bar")
	same("foo{bar}{zap}", "bar")
	same("foo{bar", "foo{bar")
	same("foo}bar{", "foo}bar{")
	same("}{a}", "a")
	same("", "")
	for name, slot := range map[string]Slot{"foo": 12182, "bar": 5061, "hello": 866, "somekey": 11058, "": 0} {
		if got := SlotOf([]byte(name)); got != slot {
			t.Errorf("slot of %q = %d, want %d", name, got, slot)
		}
	}
}

func TestCRCInStepsOfEightIsTheBitwiseOne(t *testing.T) {
	b := make([]byte, 64)
	for i := range b {
		b[i] = byte(i*37 + 11)
	}
	for n := range b {
		var crc uint16
		for _, c := range b[:n] {
			crc ^= uint16(c) << 8
			for range 8 {
				if crc&0x8000 != 0 {
					crc = crc<<1 ^ 0x1021
				} else {
					crc <<= 1
				}
			}
		}
		if got := crc16(b[:n]); got != crc {
			t.Fatalf("%d bytes: %#x, want %#x", n, got, crc)
		}
	}
}

func TestIndexBytesIsTheSizeOfAnIndex(t *testing.T) {
	if size := reflect.TypeFor[index]().Size(); size != indexBytes {
		t.Fatalf("%d", size)
	}
}

func set(s *Store, name, value string, expireAt int64) {
	k := s.Key([]byte(name))
	sh := s.ShardOf(k.Slot)
	sh.Lock()
	defer sh.Unlock()
	sh.Database(0).Set(1, k, TypeString, []byte(value), expireAt)
}

func TestBasics(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	for i := range 100000 {
		set(s, fmt.Sprint("key:", i), fmt.Sprint("value", i), 0)
	}
	if s.Len(0) != 100000 {
		t.Fatal(s.Len(0))
	}
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		cursor = s.Scan(1, 0, cursor, 10, func(name []byte, r Record) { seen[string(name)] = true })
		if cursor == 0 {
			break
		}
	}
	if len(seen) != 100000 {
		t.Fatal(len(seen))
	}
	if s.Flush(0) != 100000 || s.Len(0) != 0 {
		t.Fatal("flush")
	}
}
