// Package web serves a node's JSON API and its health checks over HTTP.
//
// # Model
//
// [Handler] answers for one node: /api/v1 with what docs/reference/api.md lists, made from the table of routes in
// routes.go, and /livez and /readyz in the manner of Kubernetes. [Serve] puts a handler on the API port and on the
// socket egal.sock in the data directory. The command line uses nothing else.
//
// Operations on members, such as leave, are rows of operations(): each plans what it would do, and does it unless that
// was all that was asked for. One that ends the process calls Options.Stop once its answer is out.
//
// # Who may ask
//
// The socket has mode 0600: the user who runs the node. The port is for loopback unless Options.Remote says otherwise.
// Nobody logs in, so a browser on the same machine must not be of use to a foreign page: requests that change something
// are refused when they come from another origin (Sec-Fetch-Site, Origin) or do not carry JSON, and names other than
// localhost are refused as hosts, so that no foreign name can be bound to this address. Answers carry no CORS headers.
//
// # Concurrency
//
// Handlers are safe for concurrent use. Server.Close cuts off requests under way.
//
// # Limits
//
// Bodies of 512 KiB, headers of 16 KiB, 256 connections a listener; 5 s for a header, 10 s for a request, 30 s for an
// answer, 60 s of idling. A list has at most 1,000 keys.
package web
