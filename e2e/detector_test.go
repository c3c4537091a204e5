package e2e

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// long says that the tests of what must not happen take as long as the promise: EGAL_E2E_LONG=1.
func long(short, long time.Duration) time.Duration {
	if os.Getenv("EGAL_E2E_LONG") == "1" {
		return long
	}
	return short
}

func TestAKilledProcessIsUnreachableEverywhere(t *testing.T) {
	h := startHosts(t, 5)
	tries := 5
	if os.Getenv("EGAL_E2E_LONG") == "1" {
		tries = 20
	}
	var took []time.Duration
	for try := range tries {
		victim := try % 5
		h.process[victim].kill()
		took = append(took, h.until(t, h.others(victim), victim))
		h.start(t, victim)
		h.whole(t)
	}
	slices.Sort(took)
	t.Logf("unreachable everywhere: median %v, most %v, of %d", took[len(took)/2], took[len(took)-1], len(took))
}

func TestASilentMachineIsUnreachableEverywhereAndComesBack(t *testing.T) {
	h := startHosts(t, 5)
	h.part(t, []int{4}, h.others(4))
	t.Logf("unreachable everywhere after %v", h.until(t, h.others(4), 4))
	h.heal(t)
	h.whole(t)
}

func TestAStoppedProcessIsNeverDownAndComesBackByItself(t *testing.T) {
	h := startHosts(t, 5)
	h.signal(t, 2, syscall.SIGSTOP)
	t.Logf("unreachable everywhere after %v", h.until(t, h.others(2), 2))
	for end := time.Now().Add(long(5*time.Second, 8*time.Second)); time.Now().Before(end); {
		for _, i := range h.others(2) {
			members, err := h.view(i)
			if err != nil || members[h.name(2)].State != "up" {
				t.Fatalf("%s sees %+v, %v", h.name(i), members, err)
			}
		}
		time.Sleep(50 * time.Millisecond) // a sample: it must not be down at any time
	}
	h.signal(t, 2, syscall.SIGCONT)
	h.whole(t)
}

func TestNobodyIsConvictedUnderLoss(t *testing.T) {
	h := startHosts(t, 5)
	for i := range h.names {
		h.filter(t, i, "-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", "0.2", "-j", "DROP")
	}
	h.nobodyIsLost(t, long(10*time.Second, time.Minute), h.others(-1))
}

func TestADeafMachineConvictsNobodyElse(t *testing.T) {
	h := startHosts(t, 5)
	for _, i := range h.others(1) {
		h.cut(t, i, 1)
	}
	h.until(t, h.others(1), 1)
	h.nobodyIsLost(t, long(3*time.Second, 20*time.Second), h.others(1), h.name(1))
	h.heal(t)
	h.whole(t)
}

func TestACutLinkConvictsNobody(t *testing.T) {
	h := startHosts(t, 5)
	h.part(t, []int{0}, []int{3})
	h.nobodyIsLost(t, long(6*time.Second, 30*time.Second), h.others(-1))
}

func TestAPartitionHealsWithoutAnOperator(t *testing.T) {
	h := startHosts(t, 5)
	few, many := []int{0, 1}, []int{2, 3, 4}
	h.part(t, few, many)
	h.until(t, many, few...)
	h.until(t, few, many...)
	h.heal(t)
	h.whole(t)
}

func TestABridgeBetweenTwoSidesHealsWithoutAnOperator(t *testing.T) {
	h := startHosts(t, 5)
	h.part(t, []int{0, 1}, []int{3, 4}) // the third sees both sides
	time.Sleep(long(4*time.Second, 15*time.Second))
	h.heal(t)
	h.whole(t)
}

func TestFlappingLinksHealWithoutAnOperator(t *testing.T) {
	h := startHosts(t, 5)
	for range 3 {
		h.part(t, []int{0, 1}, []int{2, 3, 4})
		time.Sleep(time.Second) // links go and come every second
		h.heal(t)
		time.Sleep(time.Second)
	}
	h.whole(t)
}
