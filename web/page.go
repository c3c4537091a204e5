package web

import (
	"fmt"
	"strings"
)

// Page is the reference page of the API in Markdown. example gives the answer of a route by its name.
func Page(example func(name string) string) string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, route := range Routes() {
		fmt.Fprintf(&b, "\n## %s %s\n\n%s\n", route.Method, route.Path, route.Doc)
		if route.Body != "" {
			fmt.Fprintf(&b, "\nTakes:\n\n```json\n%s\n```\n", route.Body)
		}
		fmt.Fprintf(&b, "\n```json\n%s```\n", example(route.Answer))
	}
	return b.String()
}

const pageHead = `# API

Made from the routes in ` + "`web/routes.go`" + ` and their golden files; do not edit.

Every node answers on ` + "`web.listen`" + ` (127.0.0.1:8946) and on the socket ` + "`egal.sock`" + ` in its data directory, which only its user may open:

` + "```" + `
curl http://127.0.0.1:8946/api/v1/status
curl --unix-socket egal-data/egal.sock http://egal/api/v1/status
curl -X PUT -H 'Content-Type: application/json' -d '{"value": "2"}' http://127.0.0.1:8946/api/v1/kv/X
` + "```" + `

- Every document has ` + "`schema`" + `, now 1. Within one schema fields are added, never changed or taken away.
- An answer above 399 is ` + "`{\"schema\": 1, \"error\": \"what\", \"hint\": \"what to do\"}`" + `.
- Requests that change something carry ` + "`Content-Type: application/json`" + ` and do not come from a page of another origin (403).
- A host other than an address or localhost is refused (421), unless the node runs with ` + "`--insecure`" + `.
- A body has at most ` + "`web.max_body`" + ` bytes (413).

## GET /livez

200 ` + "`ok`" + ` as long as the process answers.

## GET /readyz

200 ` + "`ok`" + ` when the node is up, the planned members are up and every slot has an owner that can be reached; else 503 ` + "`not ready`" + `. With
` + "`?verbose`" + ` a line for every condition.
`
