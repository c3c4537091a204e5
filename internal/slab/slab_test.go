package slab

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/egalcluster/egal/internal/invariant"
	"pgregory.net/rapid"
)

func TestClassesCoverAllSizesWithLittleWaste(t *testing.T) {
	previous := 0
	for class := range classCount {
		size := classSize(class)
		if size <= previous || size%8 != 0 || classOf(size) != class || classOf(previous+1) != class {
			t.Fatalf("class %d has %d bytes after %d", class, size, previous)
		}
		previous = size
	}
	if previous != pageSize {
		t.Fatalf("the largest class has %d bytes", previous)
	}
	for n := 16; n <= 4*pageSize; n++ {
		size := SizeOf(n)
		if waste := size - n; waste < 0 || waste > 7 && waste*8 > size {
			if n <= pageSize || waste >= largeStep {
				t.Fatalf("%d bytes for %d", size, n)
			}
		}
	}
	for class := range classCount {
		span := spanPages(class) * pageSize
		if rest := span % classSize(class); rest*8 > span {
			t.Fatalf("a span of class %d wastes %d of %d bytes", class, rest, span)
		}
	}
}

// broken runs f and tells the invariant that it violated.
func broken(t interface{ Helper() }, f func()) (rule string) {
	t.Helper()
	defer func() {
		if violation := (*invariant.Violation)(nil); rule == "" {
			if err, ok := recover().(error); ok && errors.As(err, &violation) {
				rule = violation.Rule
			}
		}
	}()
	f()
	return ""
}

func newOwner(t *testing.T) (*Arena, *Owner) {
	t.Helper()
	a := New(Options{})
	t.Cleanup(a.Close)
	return a, a.NewOwner()
}

func TestBlocksKeepTheirContentAndTheSumsAreRight(t *testing.T) {
	sizes := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 2*pageSize), rapid.IntRange(pageSize, 3*chunkSize/2))
	rapid.Check(t, func(t *rapid.T) {
		type block struct {
			ref  Ref
			n    int
			mark byte
		}
		a := New(Options{})
		defer a.Close()
		owners := []*Owner{a.NewOwner(), a.NewOwner()}
		blocks := [2][]block{}
		var used int64
		fill := func(b []byte, n int, mark byte) { // the ends tell enough, and large blocks stay untouched inside
			if n > 0 {
				b[0], b[n-1] = mark, mark
			}
		}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			who := rapid.IntRange(0, 1).Draw(t, "owner")
			o := owners[who]
			if len(blocks[who]) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				i := rapid.IntRange(0, len(blocks[who])-1).Draw(t, "which")
				b := blocks[who][i]
				o.Free(b.ref)
				used -= int64(SizeOf(b.n))
				blocks[who] = append(blocks[who][:i], blocks[who][i+1:]...)
				if rule := broken(t, func() { o.Free(b.ref) }); rule == "" {
					t.Fatal("a block was freed twice")
				}
			} else {
				n := sizes.Draw(t, "size")
				ref, memory := o.Alloc(n)
				if ref == 0 || ref>>RefBits != 0 || len(memory) != SizeOf(n) || cap(memory) != len(memory) {
					t.Fatalf("ref %#x, %d bytes for %d", ref, len(memory), n)
				}
				b := block{ref, n, rapid.Byte().Draw(t, "mark")}
				fill(memory, n, b.mark)
				blocks[who] = append(blocks[who], b)
				used += int64(SizeOf(n))
			}
			for who, list := range blocks {
				for _, b := range list {
					memory := owners[who].Bytes(b.ref)
					if len(memory) != SizeOf(b.n) || b.n > 0 && (memory[0] != b.mark || memory[b.n-1] != b.mark) {
						t.Fatalf("block %#x changed", b.ref)
					}
				}
			}
			if a.Used() != used || a.Reserved() < used && a.Reserved()*8 < used*7 {
				t.Fatalf("%d bytes used of %d reserved, want %d", a.Used(), a.Reserved(), used)
			}
		}
		for who, list := range blocks {
			for _, b := range list {
				owners[who].Free(b.ref)
			}
			owners[who].Trim()
		}
		if a.Used() != 0 || a.Reserved() != 0 {
			t.Fatalf("%d bytes used, %d reserved in the end", a.Used(), a.Reserved())
		}
	})
}

func TestFreedBlocksAreUsedAgain(t *testing.T) {
	a, o := newOwner(t)
	refs := make([]Ref, 10000)
	for round := range 5 {
		for i := range refs {
			refs[i], _ = o.Alloc(100)
		}
		for i := range refs {
			o.Free(refs[(i*7919)%len(refs)])
		}
		if chunks := len(*a.chunks.Load()); chunks != 1 {
			t.Fatalf("%d chunks after round %d", chunks, round)
		}
		if a.Reserved() > pageSize {
			t.Fatalf("%d bytes reserved for nothing", a.Reserved())
		}
	}
}

func TestMisuseViolatesAnInvariant(t *testing.T) {
	a, o := newOwner(t)
	other := a.NewOwner()
	ref, _ := o.Alloc(40)
	large, _ := o.Alloc(chunkSize * 2)
	o.Free(large)
	freed, _ := o.Alloc(40)
	o.Free(freed)
	tooMuch := MaxSize
	tooMuch++ // negative where int has 32 bits
	for name, misuse := range map[string]func(){
		"freeing no ref":                func() { o.Free(0) },
		"freeing a wide ref":            func() { o.Free(ref | 1<<RefBits) },
		"freeing inside a block":        func() { o.Free(ref + 1) },
		"freeing with another class":    func() { o.Free(ref + 1<<offsetBits) },
		"freeing another owner's block": func() { other.Free(ref) },
		"freeing a freed block":         func() { o.Free(freed) },
		"freeing a large block twice":   func() { o.Free(large) },
		"reading a freed large block":   func() { o.Bytes(large) },
		"reading beyond the memory":     func() { o.Bytes(ref + 1<<30) },
		"reading no ref":                func() { o.Bytes(0) },
		"a negative size":               func() { o.Alloc(-1) },
		"more than the largest block":   func() { o.Alloc(tooMuch) },
	} {
		if broken(t, misuse) == "" {
			t.Errorf("%s was not noticed", name)
		}
	}
	if checked && broken(t, func() { o.Bytes(freed) }) == "" {
		t.Error("reading a freed block was not noticed")
	}
	a.Close()
	a.Close()
	for name, use := range map[string]func(){
		"Alloc": func() { o.Alloc(1) }, "large Alloc": func() { o.Alloc(chunkSize) }, "Bytes": func() { o.Bytes(ref) }, "Free": func() { o.Free(ref) },
	} {
		if broken(t, use) == "" {
			t.Errorf("%s after Close was not noticed", name)
		}
	}
}

func TestOwnersWorkAtOnce(t *testing.T) {
	a := New(Options{})
	defer a.Close()
	var wait sync.WaitGroup
	for i := range 4 {
		o := a.NewOwner()
		wait.Go(func() {
			content := bytes.Repeat([]byte{byte(i)}, 2000)
			var refs []Ref
			for n := range 5000 {
				o.Lock()
				size := n * 7 % len(content)
				ref, memory := o.Alloc(size)
				copy(memory, content[:size])
				refs = append(refs, ref)
				if old := refs[n/2]; n%2 == 1 {
					if !bytes.HasPrefix(content, o.Bytes(old)[:n/2*7%len(content)]) {
						t.Errorf("owner %d: block %d changed", i, n/2)
					}
					o.Free(old)
				}
				o.Unlock()
			}
		})
	}
	for range 100 {
		if a.Used() < 0 || a.Reserved() < 0 {
			t.Error("negative sums")
		}
	}
	wait.Wait()
}

func TestAllocAndFreeStayOffTheGoHeap(t *testing.T) {
	_, o := newOwner(t)
	first, _ := o.Alloc(56)
	if n := testing.AllocsPerRun(1000, func() {
		ref, _ := o.Alloc(56)
		o.Bytes(ref)[0] = 1
		o.Free(ref)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
	o.Free(first)
}

func BenchmarkAllocFree(b *testing.B) {
	a := New(Options{})
	defer a.Close()
	o := a.NewOwner()
	for b.Loop() {
		ref, _ := o.Alloc(56)
		o.Free(ref)
	}
}

func BenchmarkBytes(b *testing.B) {
	a := New(Options{})
	defer a.Close()
	o := a.NewOwner()
	ref, _ := o.Alloc(56)
	for b.Loop() {
		o.Bytes(ref)[0]++
	}
}
