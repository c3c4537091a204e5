package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

// Bounds of a request to a node.
const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 64 << 20
)

// client asks a running node through its API.
type client struct {
	http  *http.Client
	base  string
	where string // for messages
}

// target are the flags that say which node to ask.
type target struct{ addr, data string }

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.addr, "addr", "", "host:port of a node's API; default 127.0.0.1:8946")
	cmd.Flags().StringVar(&t.data, "data", "", "data directory of a node on this machine, whose socket is asked; default egal-data if a node runs there")
}

// connect chooses the node: --addr, --data, EGAL_DATA, the default data directory if it has a socket, the default port.
func (w *world) connect(t target) (*client, error) {
	if t.addr != "" && t.data != "" {
		return nil, fail(exitUsage, "one of them names the node", "--addr and --data")
	}
	if t.addr == "" && t.data == "" {
		t.data = w.getenv("EGAL_DATA")
		if _, err := os.Stat(filepath.Join("egal-data", web.SocketName)); t.data == "" && err == nil {
			t.data = "egal-data"
		}
	}
	if t.data == "" {
		if t.addr == "" {
			t.addr = "127.0.0.1:8946"
		}
		return &client{http: &http.Client{Transport: &http.Transport{}, Timeout: requestTimeout}, base: "http://" + t.addr, where: t.addr}, nil
	}
	socket := filepath.Join(t.data, web.SocketName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &client{
		http: &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: requestTimeout},
		base: "http://" + web.SocketHost, where: socket,
	}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// read reads a document of the node that the flags name.
func (w *world) read(ctx context.Context, to target, path string, document any) error {
	c, err := w.connect(to)
	if err != nil {
		return err
	}
	defer c.close()
	return c.get(ctx, path, document)
}

// get reads a document.
func (c *client) get(ctx context.Context, path string, document any) error {
	return c.send(ctx, http.MethodGet, path, nil, document)
}

// send makes a request, with a body that is not nil as JSON, and reads the document of the answer.
func (c *client) send(ctx context.Context, method, path string, body, document any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return fail(exitUsage, "--addr wants host:port", "%w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer response.Body.Close()
	decoder := json.NewDecoder(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode == http.StatusOK {
		if err := decoder.Decode(document); err != nil {
			return fail(exitFailed, "is that an egal node?", "%s answers no JSON: %w", c.where, err)
		}
		return nil
	}
	var refusal web.Fault
	if err := decoder.Decode(&refusal); err != nil {
		return fail(exitFailed, "is that an egal node?", "%s answers %s", c.where, response.Status)
	}
	code := exitFailed
	switch response.StatusCode {
	case http.StatusForbidden, http.StatusUnauthorized:
		code = exitDenied
	case http.StatusBadRequest:
		code = exitUsage
	}
	return fail(code, refusal.Hint, "%s: %s", c.where, refusal.Error)
}

// explain tells apart why no answer came.
func (c *client) explain(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fail(exitInterrupted, "", "interrupted")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fail(exitDenied, "ask as the user who runs the node", "%s: permission denied", c.where)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fail(exitTimeout, "the process may be stopped", "%s does not answer", c.where)
	default:
		cause := "nobody listens"
		if operation := (*net.OpError)(nil); errors.As(err, &operation) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
			cause = operation.Err.Error()
		}
		return fail(exitUnreachable, "is a node running? `egal start` starts one; --addr or --data name another", "%s: %s", c.where, cause)
	}
}

// status asks for the cluster's status.
func (c *client) status(ctx context.Context) (web.Status, error) {
	var s web.Status
	err := c.get(ctx, "/api/v1/status", &s)
	if err == nil && s.Schema != web.Schema {
		return s, fail(exitFailed, "use the egal of the node's version", "%s speaks schema %d, this is %d", c.where, s.Schema, web.Schema)
	}
	return s, err
}

// errNotHealthy is the reason to go on waiting.
var errNotHealthy = fmt.Errorf("not healthy")
