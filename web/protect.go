package web

import (
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
)

// protect refuses what a foreign page could make a browser send.
func protect(next http.Handler, options Options) http.Handler {
	maxBody := options.MaxBody
	if maxBody == nil {
		maxBody = func() int64 { return DefaultMaxBody }
	}
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if !options.Remote && !isLocalHost(r.Host) && (!options.Socket || r.Host != SocketHost) {
			answerFault(w, http.StatusMisdirectedRequest, "host "+r.Host+" is not this machine", "use localhost or an address")
			return
		}
		if err := origin.Check(r); err != nil {
			answerFault(w, http.StatusForbidden, "a page of another origin asks", "use egal or curl, or a page of this address")
			return
		}
		limit := maxBody()
		if r.ContentLength > limit {
			answerFault(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", limit), "web.max_body is the bound")
			return
		}
		if r.Method == http.MethodPut || r.Method == http.MethodPost || r.Method == http.MethodPatch {
			if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
				answerFault(w, http.StatusUnsupportedMediaType, "the body is not JSON", "send Content-Type: application/json")
				return
			}
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		next.ServeHTTP(w, r)
	})
}

// isLocalHost tells whether a Host header names this machine in a way that no foreign name server can: by an address or
// as localhost.
func isLocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// jsonFaults turns the plain 405 of http.ServeMux into JSON.
func jsonFaults(next *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := next.Handler(r); pattern == "/" {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete} {
				other := r.Clone(r.Context())
				other.Method = method
				if _, pattern := next.Handler(other); pattern != "/" {
					answerFault(w, http.StatusMethodNotAllowed, r.Method+" is not for "+r.URL.Path, "docs/reference/api.md lists all")
					return
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}
