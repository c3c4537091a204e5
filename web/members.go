package web

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/egalcluster/egal/internal/settings"
)

// MemberStatus is the document of /api/v1/members/{member}.
type MemberStatus struct {
	Schema int    `json:"schema"`
	Member Member `json:"member"`
	// Unreached are the ids of the members that this one says it does not reach.
	Unreached []string `json:"unreached"`
	// Causes are what is not as it should be with this member.
	Causes []Cause `json:"causes"`
	// Checks are the conditions of being ready; empty unless the member is the asked node.
	Checks []Check `json:"checks"`
}

func (a api) member(w http.ResponseWriter, r *http.Request) {
	status := StatusOf(a.n)
	m, fault := find(status.Members, r.PathValue("member"))
	if fault != nil {
		answerWith(w, fault.status, fault.document)
		return
	}
	document := MemberStatus{Schema: Schema, Member: m, Unreached: []string{}, Causes: []Cause{}, Checks: []Check{}}
	for _, other := range status.Members {
		for _, by := range other.UnreachableFrom {
			if by == m.ID {
				document.Unreached = append(document.Unreached, other.ID)
			}
		}
	}
	for _, c := range status.Causes {
		if c.Member == m.ID {
			document.Causes = append(document.Causes, c)
		}
	}
	if m.Self {
		document.Checks = checksOf(a.n)
	}
	answer(w, document)
}

// notFound is why a word names no member.
type notFound struct {
	status   int
	document Fault
}

// leastPrefix is how many digits of an id name a member.
const leastPrefix = 4

// find returns the member that a word names: by its name, else by its address, else by the beginning of its id.
func find(members []Member, word string) (Member, *notFound) {
	kinds := []func(Member) bool{
		func(m Member) bool { return m.Name == word },
		func(m Member) bool { return word != "" && (m.Address == word || m.Fabric == word) },
		func(m Member) bool { return len(word) >= leastPrefix && strings.HasPrefix(m.ID, word) },
	}
	for _, fits := range kinds {
		var found []Member
		for _, m := range members {
			if fits(m) {
				found = append(found, m)
			}
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			hint := fmt.Sprintf("name one by its id, for example %s", found[0].ID)
			return Member{}, &notFound{http.StatusBadRequest, Fault{Schema: Schema, Error: fmt.Sprintf("%d members are %q", len(found), word), Hint: hint}}
		}
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	hint := "`egal node ls` lists all"
	if near, ok := settings.Nearest(word, names); ok {
		hint = "did you mean " + near + "? " + hint
	}
	return Member{}, &notFound{http.StatusNotFound, Fault{Schema: Schema, Error: fmt.Sprintf("no member %q", word), Hint: hint}}
}
