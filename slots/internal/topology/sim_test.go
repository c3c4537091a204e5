package topology

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	simSeed  = flag.Uint64("sim.seed", 1, "first seed of the simulations")
	simCount = flag.Uint64("sim.count", 0, "how many seeds; 0: as many as each simulation has by itself")
)

// simulate runs a story from each seed, twice: both runs must be free of faults and equal.
func simulate(t *testing.T, seeds uint64, story func(seed uint64) *world) {
	t.Helper()
	if testing.Short() {
		seeds = max(1, seeds/4)
	}
	if *simCount > 0 {
		seeds = *simCount
	}
	for seed := *simSeed; seed < *simSeed+seeds; seed++ {
		w, again := story(seed), story(seed)
		if len(w.faults) > 0 {
			t.Errorf("%s\nreplay: go test ./slots/internal/topology -run '^%s$' -sim.seed=%d -sim.count=1", strings.Join(w.faults, "\n"), t.Name(), seed)
			return
		}
		if w.trace != again.trace {
			t.Errorf("seed %d: two runs, two traces", seed)
		}
	}
}

// founding lets up to seven machines appear while the network is bad.
func founding(seed uint64, plant func(*world)) *world {
	w := newWorld(seed, 0)
	if plant != nil {
		plant(w)
	}
	n := 2 + w.random.IntN(6)
	w.initial = 1 + w.random.IntN(n)
	w.loss = w.random.Float64() * 0.5
	for range n {
		w.add()
		w.run(w.between(0, 300*time.Millisecond))
		if w.random.IntN(3) == 0 {
			side := w.random.IntN(n)
			w.part(func(i int) bool { return i <= side })
			w.run(w.between(0, 2*time.Second))
		}
		if w.random.IntN(3) == 0 {
			m := w.machines[w.random.IntN(len(w.machines))]
			if m.alive {
				w.crash(m, w.random.IntN(2) == 0)
				w.after(w.between(0, 2*time.Second), func() { w.start(m) })
			}
		}
	}
	w.rest()
	w.check(true)
	return w
}

// rest takes all faults away and waits.
func (w *world) rest() {
	w.run(2 * time.Second)
	w.loss = 0
	w.heal()
	w.run(15 * time.Second)
	w.note("rest")
}

// growth founds three machines and lets clients write while machines join, crash with their disks, and networks part.
func growth(seed uint64, plant func(*world)) *world {
	w := newWorld(seed, 3)
	if plant != nil {
		plant(w)
	}
	for range 3 {
		w.add()
	}
	w.run(3 * time.Second)
	w.check(true)
	w.exclusive = true
	w.loss = w.random.Float64() * 0.3
	for step := range 40 {
		for range 200 {
			w.write()
		}
		w.run(w.between(0, 500*time.Millisecond))
		switch m := w.machines[w.random.IntN(len(w.machines))]; w.random.IntN(6) {
		case 0:
			side := w.random.Uint64()
			w.part(func(i int) bool { return side>>i&1 == 1 })
		case 1:
			w.heal()
		case 2:
			if m.alive {
				w.crash(m, true)
				w.after(w.between(0, 3*time.Second), func() { w.start(m) })
			}
		case 3:
			if step%3 == 0 && len(w.machines) < 7 {
				w.heal()
				w.add()
			}
		}
	}
	w.rest()
	w.rest()
	w.check(false)
	if w.purged > 0 {
		w.complain("%d slots with keys moved", w.purged)
	}
	return w
}

func TestSimFounding(t *testing.T) {
	simulate(t, 20, func(seed uint64) *world { return founding(seed, nil) })
}

func TestSimGrowthUnderFaults(t *testing.T) {
	simulate(t, 6, func(seed uint64) *world { return growth(seed, nil) })
}

// The checks are checked: each planted bug must be seen from one of the seeds.
func TestSimSeesPlantedBugs(t *testing.T) {
	for name, c := range map[string]struct {
		story func(uint64, func(*world)) *world
		plant func(*world)
	}{
		"slots with keys are given up":            {growth, func(w *world) { w.releaseNonEmpty = true }},
		"a service goes on with what it gave up":  {growth, func(w *world) { w.keepServing = true }},
		"claims carry the same epoch all the way": {founding, func(w *world) { w.flattenEpochs = true }},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 12; seed++ {
				if w := c.story(seed, c.plant); len(w.faults) > 0 {
					t.Logf("seed %d: %s", seed, strings.SplitN(fmt.Sprint(w.faults[0]), "\n", 2)[0])
					return
				}
			}
			t.Error("nobody noticed")
		})
	}
}
