package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/egalcluster/egal"
	"github.com/egalcluster/egal/internal/settings"
	"github.com/egalcluster/egal/web"
	"github.com/spf13/cobra"
)

// holderTimeout bounds the question who runs on a data directory.
const holderTimeout = time.Second

func startCommand(w *world) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run a node",
		Long: "Run a node until SIGTERM or SIGINT. Without flags it founds a cluster of its own, keeps its data in ./egal-data and\n" +
			"listens on this machine only. Every setting is a flag, an environment variable or a key of the file:\n" +
			"docs/reference/config.md lists them.",
		Example: `  egal start
  egal start --config egal.yaml --data /var/lib/egal
  egal start --data b --join 127.0.0.1:7946 --fabric-listen 127.0.0.1:7947 --slots-listen 127.0.0.1:6380 --web-listen 127.0.0.1:8947`,
		Args: noArguments,
	}
	cmd.Flags().StringVar(&file, "config", "", configFlagDoc)
	settingFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return w.start(cmd.Context(), w.sources(file, cmd.Flags()))
	}
	return cmd
}

// start runs a node until the context ends, or the node leaves the cluster.
func (w *world) start(ctx context.Context, from sources) error {
	values, err := from.configuration()
	if err != nil {
		return err
	}
	knobs := newKnobs(values)
	logger := newLogger(w.err, values.String("log_format"), &knobs.level, w.errTTY)
	config := nodeConfig(values)
	config.Logger = logger
	listener, err := listenWeb(ctx, values.String("web.listen"), values.Origin("web.listen").Where, values.Bool("insecure"))
	if err != nil {
		return w.inUse(ctx, values, err)
	}
	node, err := egal.Start(ctx, config)
	if err != nil {
		if listener != nil {
			err = errors.Join(err, listener.Close())
		}
		return w.inUse(ctx, values, explain(err))
	}
	running, err := settings.NewRunning(values, from.file, from.gather, knobs.of(node))
	if err != nil {
		return errors.Join(err, node.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := serveNode(ctx, logger, node, web.Options{Settings: running, MaxBody: knobs.maxBody.Load, Stop: stop, Remote: values.Bool("insecure")}, listener)
	logStarted(logger, node, listener)
	w.attend(ctx, logger, node, running)
	logger.Info("stopping", "event", "node_stopping")
	return errors.Join(node.Err(), server.Close(), node.Close())
}

// attend tells when the node serves, and reloads the configuration, the cluster key and the certificates at SIGHUP, until the node has to stop.
func (w *world) attend(ctx context.Context, logger *slog.Logger, node *egal.Node, running *settings.Running) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() { // ends when attend does
		if err := node.Ready(ctx); err == nil {
			logger.Info("serving", "event", "node_serving", "members", len(node.Fabric().View().Members()), "after_ms", time.Since(w.began).Milliseconds())
		}
	})
	defer waiting.Wait()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-node.Failed():
			return
		case <-hangup:
			reload(logger, running)
			if err := node.ReloadSecrets(); err != nil {
				logger.Error("secrets are left as they are", "event", "secrets_refused", "error", err)
			}
		}
	}
}

// listenWeb is the one way to open an API port, which is not open beyond this machine unless that is asked for. where
// is what has set the address. It is called before the node starts, so that a port in use is found before the node
// joins. Without an address there is no port: nil.
func listenWeb(ctx context.Context, address, where string, insecure bool) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	if err := checkReach("web.listen", address, where, insecure); err != nil {
		return nil, &fault{code: exitUsage, err: err}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, cannotListen("web.listen", address, err, errors.Is(err, syscall.EADDRINUSE))
	}
	return listener, nil
}

// inUse replaces an error by a better one if a node runs on the data directory already: its ports are in use then, too.
func (w *world) inUse(ctx context.Context, values *settings.Values, err error) error {
	c, connecting := w.connect(target{data: values.String("data")})
	if connecting != nil {
		return err
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(ctx, holderTimeout)
	defer cancel()
	var holder web.Node
	if asking := c.get(ctx, "/api/v1/node", &holder); asking != nil {
		return err // nobody to be named: the error stands for itself
	}
	return fail(exitFailed, "stop it, or give this node a directory of its own: --data (EGAL_DATA)",
		"data directory %s: in use by node %s, process %d", values.String("data"), holder.Name, holder.Process)
}

// serveNode serves the API of a node on its port, if it has one, and on the socket in its data directory. A node whose
// directory cannot have a socket runs without it.
func serveNode(ctx context.Context, logger *slog.Logger, node *egal.Node, options web.Options, listener net.Listener) servers {
	var all servers
	if listener != nil {
		all = append(all, web.Serve(web.Handler(node, options), logger, listener))
	}
	socket, err := web.ListenSocket(ctx, node.Config().Data)
	if err != nil {
		logger.Warn("no socket for the command line", "event", "web_no_socket", "error", err)
		return all
	}
	options.Remote, options.Socket = false, true
	return append(all, web.Serve(web.Handler(node, options), logger, socket))
}

// servers are closed together.
type servers []*web.Server

// Close closes all.
func (s servers) Close() error {
	var faults []error
	for _, server := range s {
		faults = append(faults, server.Close())
	}
	return errors.Join(faults...)
}

func logStarted(logger *slog.Logger, node *egal.Node, listener net.Listener) {
	attributes := []any{"event", "node_started", "id", node.ID(), "data", node.Config().Data, "fabric", node.Fabric().Addr().String()}
	for _, service := range node.Slots() {
		attributes = append(attributes, "slots", service.Addr().String())
	}
	if listener != nil {
		attributes = append(attributes, "web", listener.Addr().String())
	}
	logger.Info("started", attributes...)
}
