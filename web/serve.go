package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// SocketName is the file of the socket in the data directory, SocketHost the host of requests on it.
const (
	SocketName = "egal.sock"
	SocketHost = "egal"
)

// Bounds of a server.
const (
	maxConnections = 256
	maxHeaderBytes = 16 << 10
	maxSocketPath  = 96 // macOS has 104 bytes with the zero at the end, and ListenSocket needs some while it makes it
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = time.Minute
)

// ErrSocketPath says that a path is too long for a socket.
var ErrSocketPath = fmt.Errorf("longer than %d bytes, which no socket may have", maxSocketPath)

// Server serves a handler on some listeners.
type Server struct {
	http      *http.Server
	listeners []net.Listener
	running   sync.WaitGroup
}

// Serve begins to serve on listeners, which it takes over. Close ends it. Errors of connections go to the logger.
func Serve(handler http.Handler, logger *slog.Logger, listeners ...net.Listener) *Server {
	s := &Server{listeners: listeners, http: &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}}
	for _, listener := range listeners {
		s.running.Go(func() { // ends with Close
			err := s.http.Serve(&bounded{Listener: listener, free: make(chan struct{}, maxConnections), closed: make(chan struct{})})
			if !errors.Is(err, http.ErrServerClosed) {
				logger.Error("the api has stopped", "address", listener.Addr().String(), "error", err)
			}
		})
	}
	return s
}

// Close stops listening and waits for what Serve has started. Requests under way lose their connections; what they
// change, they change wholly or not at all.
func (s *Server) Close() error {
	err := s.http.Close()
	// A listener whose Serve had not begun yet is not known to the http.Server.
	for _, listener := range s.listeners {
		if closing := listener.Close(); closing != nil && !errors.Is(closing, net.ErrClosed) {
			err = errors.Join(err, closing)
		}
	}
	s.running.Wait()
	return err
}

// bounded is a listener that has at most maxConnections connections open.
type bounded struct {
	net.Listener
	free   chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.free <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.free
		return nil, err
	}
	return &counted{Conn: conn, release: sync.OnceFunc(func() { <-b.free })}, nil
}

func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

type counted struct {
	net.Conn
	release func()
}

func (c *counted) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// ListenSocket opens the socket in a data directory, in place of one that a process before has left there. Only the
// user of this process may connect. The caller holds the directory's lock.
func ListenSocket(ctx context.Context, dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("web: listen on %s: %w", path, ErrSocketPath)
	}
	// Invariant: nobody else can connect at any moment. Until its mode is set, the socket is in a directory of our own.
	private, err := os.MkdirTemp(dir, ".s")
	if err != nil {
		return nil, fmt.Errorf("web: listen on %s: %w", path, err)
	}
	defer func() { _ = os.RemoveAll(private) }() // an empty directory may stay behind
	hidden := filepath.Join(private, "s")
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", hidden)
	if err != nil {
		return nil, fmt.Errorf("web: listen on %s: %w", path, err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(hidden, 0o600), os.Rename(hidden, path)); err != nil {
		return nil, fmt.Errorf("web: listen on %s: %w", path, errors.Join(err, listener.Close()))
	}
	return &socket{Listener: listener, path: path}, nil
}

// socket takes its file away when it is closed.
type socket struct {
	net.Listener
	path string
}

func (s *socket) Close() error {
	err := s.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err // the file may be another's by now
	}
	if removing := os.Remove(s.path); removing != nil && !errors.Is(removing, fs.ErrNotExist) {
		err = errors.Join(err, removing)
	}
	return err
}
