package transport

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

var (
	homeAddress  = netip.MustParseAddrPort("10.0.0.1:7946")
	otherAddress = netip.MustParseAddrPort("10.0.0.2:7946")
	home         = binding{boot: 7, address: homeAddress, cluster: ClusterID{1}}
	toHome       = binding{boot: 7, address: homeAddress, cluster: ClusterID{1}}
	alice        = Identity{Node: [16]byte{0xa1, 0x1c, 0xe}, Boot: 11}
)

// sealed is a packet as it travels.
func sealed(tb testing.TB, s *sealer, to binding, payload string) []byte {
	tb.Helper()
	var packet []byte
	if err := s.seal(to, []byte(payload), func(b []byte) error { packet = bytes.Clone(b); return nil }); err != nil {
		tb.Fatal(err)
	}
	return packet
}

func TestASealedDatagramOpensWhereItIsMeantFor(t *testing.T) {
	for _, s := range []suite{suiteAES, suiteChaCha} {
		for _, to := range []binding{toHome, {address: homeAddress, cluster: ClusterID{1}}} {
			ring := NewKeyring(testKey(1))
			packet := sealed(t, newSealer(ring, alice, s), to, "hello")
			if len(packet) != len("hello")+sealOverhead {
				t.Errorf("%v: %d bytes", s, len(packet))
			}
			if bytes.Contains(packet, []byte("hello")) {
				t.Errorf("%v: in clear", s)
			}
			payload, from, err := newOpener(ring).open(packet, home)
			if err != nil || string(payload) != "hello" || from != alice {
				t.Errorf("%v to %d: %q from %v, %v", s, to.boot, payload, from, err)
			}
		}
	}
}

func TestADatagramForAnotherDoesNotOpen(t *testing.T) {
	ring := NewKeyring(testKey(1))
	two := NewKeyring(testKey(2))
	for _, tc := range []struct {
		name string
		ring *Keyring
		to   binding
		at   binding
	}{
		{"another key", two, toHome, home},
		{"another boot", ring, toHome, binding{boot: 8, address: homeAddress, cluster: ClusterID{1}}},
		{"another cluster", ring, toHome, binding{boot: 7, address: homeAddress, cluster: ClusterID{2}}},
		{"no cluster", ring, toHome, binding{boot: 7, address: homeAddress}},
		{"from no cluster", ring, binding{boot: 7}, home},
		{"another address", ring, binding{address: otherAddress, cluster: ClusterID{1}}, home},
		{"a receiver that has not started", ring, toHome, binding{address: homeAddress, cluster: ClusterID{1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newOpener(tc.ring)
			packet := sealed(t, newSealer(ring, alice, suiteAES), tc.to, "hello")
			if _, _, err := o.open(packet, tc.at); !errors.Is(err, errForged) {
				t.Fatal(err)
			}
			if len(o.senders) != 0 || o.order.Len() != 0 {
				t.Fatal("it left something behind")
			}
		})
	}
}

func TestAChangedDatagramDoesNotOpen(t *testing.T) {
	ring := NewKeyring(testKey(1))
	packet := sealed(t, newSealer(ring, alice, suiteAES), toHome, "hello")
	o := newOpener(ring)
	for i := range packet {
		for bit := range 8 {
			changed := bytes.Clone(packet)
			changed[i] ^= 1 << bit
			if _, _, err := o.open(changed, home); !errors.Is(err, errForged) && (i != 26 || bit != 0) { // number 0
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
	for i := range packet {
		if _, _, err := o.open(bytes.Clone(packet[:i]), home); !errors.Is(err, errForged) {
			t.Fatalf("cut to %d: %v", i, err)
		}
	}
	if _, _, err := o.open(append(bytes.Clone(packet), 0), home); !errors.Is(err, errForged) {
		t.Fatalf("one byte more: %v", err)
	}
	if len(o.senders) != 0 {
		t.Fatal("forgeries left something behind")
	}
	if _, _, err := o.open(packet, home); err != nil {
		t.Fatalf("after all forgeries: %v", err)
	}
}

// checkReplay takes a packet of a sender twice.
func checkReplay(t tester, s *sealer, o *opener) {
	t.Helper()
	var packet []byte
	_ = s.seal(toHome, []byte("once"), func(b []byte) error { packet = bytes.Clone(b); return nil })
	if _, _, err := o.open(bytes.Clone(packet), home); err != nil {
		t.Fatalf("the first time: %v", err)
	}
	if _, _, err := o.open(packet, home); !errors.Is(err, errReplayed) {
		t.Fatalf("the second time: %v", err)
	}
}

// checkBinding takes a packet that is meant for another process.
func checkBinding(t tester, s *sealer, o *opener) {
	t.Helper()
	var packet []byte
	_ = s.seal(binding{boot: 8, cluster: ClusterID{1}}, []byte("for another"), func(b []byte) error { packet = bytes.Clone(b); return nil })
	if _, _, err := o.open(packet, home); !errors.Is(err, errForged) {
		t.Fatalf("a packet for boot 8 at boot 7: %v", err)
	}
}

// checkNonces looks for a packet number that comes twice under one key: sender, boot, key and suite.
func checkNonces(t tester, sealers ...*sealer) {
	t.Helper()
	seen := map[string]bool{}
	for range 1000 {
		for _, s := range sealers {
			_ = s.seal(toHome, nil, func(b []byte) error {
				if header := string(b[:sealedHeader]); seen[header] {
					t.Fatalf("the header %x twice", header)
				} else {
					seen[header] = true
				}
				return nil
			})
		}
	}
}

// tester is what a checker needs of a test.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func TestAReplayIsFound(t *testing.T) {
	ring := NewKeyring(testKey(1))
	checkReplay(t, newSealer(ring, alice, suiteAES), newOpener(ring))
}

func TestAPacketIsBoundToItsReceiver(t *testing.T) {
	ring := NewKeyring(testKey(1))
	checkBinding(t, newSealer(ring, alice, suiteAES), newOpener(ring))
}

// Neither within a process nor over a restart, which has another boot, nor after a change of keys.
func TestNoNonceComesTwiceUnderOneKey(t *testing.T) {
	ring := NewKeyring(testKey(1))
	restarted := alice
	restarted.Boot++
	s := newSealer(ring, alice, suiteAES)
	checkNonces(t, s, newSealer(ring, restarted, suiteAES))
	before := s.number.Load()
	if err := errors.Join(ring.Install(9, testKey(2)), ring.Use(9), ring.Use(0)); err != nil {
		t.Fatal(err)
	}
	if packet := sealed(t, s, toHome, ""); readNumber(packet[26:]) != before+1 {
		t.Fatal("the numbers began again with the key")
	}
	s.number.Store(maxNumber - 1)
	sealed(t, s, toHome, "the last one")
	if err := s.seal(toHome, nil, nil); !errors.Is(err, errExhausted) {
		t.Fatal(err)
	}
}

// complaint is what planted bugs must give rise to.
type complaint string

type catcher struct{}

func (catcher) Helper()                           {}
func (catcher) Fatalf(format string, args ...any) { panic(complaint(fmt.Sprintf(format, args...))) }

func complains(f func(tester)) (found bool) {
	defer func() {
		if r := recover(); r != nil {
			_, found = r.(complaint)
			if !found {
				panic(r)
			}
		}
	}()
	f(catcher{})
	return false
}

func TestPlantedBugsAreFound(t *testing.T) {
	ring := NewKeyring(testKey(1))
	with := func(p planted) (*sealer, *opener) {
		s, o := newSealer(ring, alice, suiteAES), newOpener(ring)
		s.planted, o.planted = p, p
		return s, o
	}
	for _, tc := range []struct {
		name  string
		bug   planted
		check func(tester, *sealer, *opener)
	}{
		{"no replay window", planted{noWindow: true}, checkReplay},
		{"no receiver under the tag", planted{unbound: true}, checkBinding},
		{"a nonce that comes again", planted{oneNumber: true}, func(t tester, s *sealer, _ *opener) { t.Helper(); checkNonces(t, s) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := with(planted{})
			sound := complains(func(t tester) { t.Helper(); tc.check(t, s, o) })
			s, o = with(tc.bug)
			buggy := complains(func(t tester) { t.Helper(); tc.check(t, s, o) })
			if sound || !buggy {
				t.Fatalf("a complaint about sound code: %t, about the bug: %t", sound, buggy)
			}
		})
	}
}

func TestTheEdgesOfTheReplayWindow(t *testing.T) {
	const newest = 1_000_000
	for _, tc := range []struct {
		number uint64
		fresh  bool
	}{
		{newest + 1, true},
		{newest, false},
		{newest - 1, true},
		{newest - ReplayWindow + 1, true},
		{newest - ReplayWindow, false},
		{newest - ReplayWindow - 1, false},
		{0, false},
		{maxNumber, true},
	} {
		var w window
		w.mark(newest)
		if w.fresh(tc.number) != tc.fresh {
			t.Errorf("%d after %d: fresh is %t", tc.number, newest, !tc.fresh)
		}
	}
}

// The window is compared with a set, in any order of numbers.
func TestTheReplayWindowTakesEachNumberOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var w window
		taken, newest := map[uint64]bool{}, uint64(0)
		at := uint64(1)
		for range 20_000 {
			switch random.IntN(100) {
			case 0:
				at += random.Uint64N(3 * ReplayWindow)
			default:
				at++
			}
			number := at - min(at, random.Uint64N(ReplayWindow+100))
			want := number > 0 && !taken[number] && (number > newest || newest-number < ReplayWindow)
			if w.fresh(number) != want {
				t.Fatalf("%d after %d: fresh is %t", number, newest, !want)
			}
			if want {
				w.mark(number)
				taken[number], newest = true, max(newest, number)
			}
		}
	}
}

func TestDatagramsMayOvertakeEachOther(t *testing.T) {
	ring := NewKeyring(testKey(1))
	s, o := newSealer(ring, alice, suiteAES), newOpener(ring)
	var packets [][]byte
	for range ReplayWindow + 1 {
		packets = append(packets, sealed(t, s, toHome, "x"))
	}
	for i := len(packets) - 1; i > 0; i-- {
		if _, _, err := o.open(packets[i], home); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	if _, _, err := o.open(packets[0], home); !errors.Is(err, errReplayed) {
		t.Fatalf("one too old: %v", err)
	}
}

func TestSendersAreBounded(t *testing.T) {
	ring := NewKeyring(testKey(1))
	o := newOpener(ring)
	first := sealed(t, newSealer(ring, alice, suiteAES), toHome, "")
	if _, _, err := o.open(bytes.Clone(first), home); err != nil {
		t.Fatal(err)
	}
	for i := range MaxSenders {
		if i == MaxSenders-1 && len(o.senders) != MaxSenders {
			t.Fatalf("%d senders before the bound", len(o.senders))
		}
		if _, _, err := o.open(sealed(t, newSealer(ring, Identity{Boot: uint64(i + 100)}, suiteAES), toHome, ""), home); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.senders) != MaxSenders || o.order.Len() != MaxSenders {
		t.Fatalf("%d senders", len(o.senders))
	}
	if _, kept := o.senders[senderKey{who: alice}]; kept {
		t.Fatal("the one not heard for the longest time was kept")
	}
}

func TestAKeyOpensAsLongAsItIsInTheRing(t *testing.T) {
	here, there := NewKeyring(testKey(1)), NewKeyring(testKey(1))
	s, o := newSealer(there, alice, suiteAES), newOpener(here)
	opens := func(want error) {
		t.Helper()
		if _, _, err := o.open(sealed(t, s, toHome, "x"), home); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	opens(nil)
	step(there.Install(1, testKey(2)))
	opens(nil) // installed, not in use
	step(here.Install(1, testKey(2)))
	step(there.Use(1))
	opens(nil)
	step(here.Use(1))
	step(there.Use(0))
	opens(nil) // not removed yet
	step(here.Remove(0))
	opens(errForged)
	step(here.Install(0, testKey(3)))
	opens(errForged) // another key with that id
	step(there.Use(1))
	opens(nil)
}

func TestSealingAllocatesNothing(t *testing.T) {
	ring := NewKeyring(testKey(1))
	s, o := newSealer(ring, alice, suiteAES), newOpener(ring)
	payload := make([]byte, MaxDatagram)
	round := func() {
		if err := s.seal(toHome, payload, func(b []byte) error { _, _, err := o.open(b, home); return err }); err != nil {
			t.Fatal(err)
		}
	}
	round()
	if n := testing.AllocsPerRun(100, round); n > 0 && !raceEnabled {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzDatagram(f *testing.F) {
	ring := NewKeyring(testKey(1))
	s := newSealer(ring, alice, suiteAES)
	_ = s.seal(toHome, []byte("hello"), func(b []byte) error { f.Add(bytes.Clone(b)); return nil })
	f.Add([]byte{sealedMagic})
	f.Add(make([]byte, MaxPacket))
	f.Fuzz(func(t *testing.T, packet []byte) {
		o := newOpener(ring)
		payload, from, err := o.open(bytes.Clone(packet), home)
		if err != nil && len(o.senders) > 0 {
			t.Fatal("what does not open left something behind")
		}
		if err == nil && (string(payload) != "hello" || from != alice) {
			t.Fatalf("%q of %v opened", payload, from)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, s := range []suite{suiteAES, suiteChaCha} {
		for _, size := range []int{100, MaxDatagram} {
			b.Run(fmt.Sprintf("%v/%d", s, size), func(b *testing.B) {
				sealing := newSealer(NewKeyring(testKey(1)), alice, s)
				payload := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					_ = sealing.seal(toHome, payload, func([]byte) error { return nil })
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, s := range []suite{suiteAES, suiteChaCha} {
		for _, size := range []int{100, MaxDatagram} {
			b.Run(fmt.Sprintf("%v/%d", s, size), func(b *testing.B) {
				ring := NewKeyring(testKey(1))
				packet := sealed(b, newSealer(ring, alice, s), toHome, string(make([]byte, size)))
				o := newOpener(ring)
				o.planted.noWindow = true // the one packet comes again and again
				buffer := make([]byte, len(packet))
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					copy(buffer, packet)
					if _, _, err := o.open(buffer, home); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A stranger's packets cost the derivation of a key each, and nothing else.
func BenchmarkOpenForged(b *testing.B) {
	ring := NewKeyring(testKey(1))
	packet := sealed(b, newSealer(NewKeyring(testKey(2)), alice, suiteAES), toHome, "hello")
	o := newOpener(ring)
	for b.Loop() {
		if _, _, err := o.open(packet, home); err == nil {
			b.Fatal("opened")
		}
	}
}
