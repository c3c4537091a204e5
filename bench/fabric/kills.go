package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/egalcluster/egal/bench/proc"
	"github.com/egalcluster/egal/bench/report"
)

const processes = 5

// family is processes of one cluster.
type family struct {
	binary  string
	dir     string
	servers [processes]*proc.Server
	addrs   [processes]string
	args    [processes][]string
	sockets [processes]*http.Client
}

// kills times how soon a killed process is unreachable everywhere, and looks how large an idle one is.
func kills(ctx context.Context, table *report.Table, tries int) error {
	dir, err := os.MkdirTemp("", "egal-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f := &family{dir: dir}
	if f.binary, err = proc.Build(ctx, dir); err != nil {
		return err
	}
	defer f.stop()
	if err := f.begin(); err != nil {
		return err
	}
	time.Sleep(5 * time.Second) // idle, and measured so
	resident, err := f.servers[0].Resident()
	if err != nil {
		return err
	}
	table.Add("resident memory of an idle node", float64(resident)/(1<<20), "MiB", "at most 30", processes)
	var took []time.Duration
	for try := range tries {
		one, err := f.kill(try % processes)
		if err != nil {
			return fmt.Errorf("kill %d: %w", try, err)
		}
		took = append(took, one)
	}
	table.Add("SIGKILL, until unreachable everywhere, p50", milliseconds(report.Percentile(took, 50)), "ms", "under 300", processes)
	table.Add("SIGKILL, until unreachable everywhere, most", milliseconds(report.Percentile(took, 100)), "ms", nil, processes)
	return nil
}

func (f *family) begin() error {
	var fabrics, ports []string
	for range 3 * processes {
		port, err := proc.FreePort()
		if err != nil {
			return err
		}
		ports = append(ports, "127.0.0.1:"+port)
	}
	for i := range processes {
		fabrics = append(fabrics, ports[3*i])
	}
	for i := range processes {
		data := filepath.Join(f.dir, fmt.Sprint("node-", i+1))
		f.addrs[i] = ports[3*i+1]
		f.args[i] = []string{
			"start", "--data", data, "--name", fmt.Sprint("node-", i+1), "--join", strings.Join(fabrics, ","), "--initial-members", fmt.Sprint(processes),
			"--fabric-listen", fabrics[i], "--slots-listen", ports[3*i+1], "--web-listen", ports[3*i+2],
		}
		socket := filepath.Join(data, "egal.sock")
		f.sockets[i] = &http.Client{Timeout: patience, Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", socket)
			},
		}}
	}
	for i := range processes { // the first founds when the others refuse or ask, so none waits for another
		if err := f.start(i); err != nil {
			return err
		}
	}
	return f.until(-1, processes)
}

func (f *family) start(i int) error {
	log, err := os.OpenFile(filepath.Join(f.dir, fmt.Sprint("log-", i+1)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	f.servers[i], err = proc.Launch(fmt.Sprint("node-", i+1), f.addrs[i], f.dir, log, f.binary, f.args[i]...)
	return err
}

func (f *family) stop() {
	for _, server := range f.servers {
		if server != nil {
			server.Stop()
		}
	}
}

// kill kills one, waits until the others show that, and brings it back.
func (f *family) kill(victim int) (time.Duration, error) {
	begin := time.Now()
	f.servers[victim].Stop()
	if err := f.until(victim, processes-1); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if err := f.start(victim); err != nil {
		return 0, err
	}
	return took, f.until(-1, processes)
}

// until waits until all but one show so many members up and reachable.
func (f *family) until(except, count int) error {
	end := time.Now().Add(patience)
	for i := range processes {
		for i != except {
			shown, err := f.reachable(i)
			if err == nil && shown == count {
				break
			}
			if time.Now().After(end) {
				return errors.Join(fmt.Errorf("node-%d shows %d reachable members, not %d", i+1, shown, count), err)
			}
		}
	}
	return nil
}

func (f *family) reachable(i int) (count int, err error) {
	response, err := f.sockets[i].Get("http://egal/api/v1/members")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var document struct {
		Members []struct {
			State     string `json:"state"`
			Reachable bool   `json:"reachable"`
		} `json:"members"`
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		return 0, err
	}
	for _, m := range document.Members {
		if m.State == "up" && m.Reachable {
			count++
		}
	}
	return count, nil
}
