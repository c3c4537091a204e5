package slots

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/egalcluster/egal/slots/internal/command"
)

// section is one part of INFO.
type section struct {
	name  string
	title string
	extra bool // shown only when asked for by name, or by "all" and "everything"
	write func(*Service, *strings.Builder)
}

// sections are the parts of INFO in the order they are shown.
func sections() []section {
	return []section{
		{"server", "Server", false, (*Service).infoServer},
		{"clients", "Clients", false, (*Service).infoClients},
		{"memory", "Memory", false, (*Service).infoMemory},
		{"stats", "Stats", false, (*Service).infoStats},
		{"replication", "Replication", false, (*Service).infoReplication},
		{"cpu", "CPU", false, (*Service).infoCPU},
		{"commandstats", "Commandstats", true, (*Service).infoCommandstats},
		{"errorstats", "Errorstats", false, (*Service).infoErrorstats},
		{"cluster", "Cluster", false, (*Service).infoCluster},
		{"keyspace", "Keyspace", false, (*Service).infoKeyspace},
	}
}

// info: INFO [section …]; "default" is what is shown without a section, "all" and "everything" are all.
func (s *Service) info(ctx *command.Context) {
	asked := map[string]bool{}
	for _, word := range ctx.Args[1:] {
		asked[strings.ToLower(string(word))] = true
	}
	all := asked["all"] || asked["everything"]
	usual := len(asked) == 0 || asked["default"]
	var text strings.Builder
	for _, part := range sections() {
		if !all && !asked[part.name] && (!usual || part.extra) {
			continue
		}
		if text.Len() > 0 {
			text.WriteString("\r\n")
		}
		text.WriteString("# " + part.title + "\r\n")
		part.write(s, &text)
	}
	ctx.Reply.Verbatim("txt", text.String())
}

// field writes one line of INFO.
func field(b *strings.Builder, name string, value any) { fmt.Fprintf(b, "%s:%v\r\n", name, value) }

func (s *Service) infoServer(b *strings.Builder) {
	now := s.config.Now()
	uptime := int64(now.Sub(s.started) / time.Second)
	executable, _ := os.Executable()
	api := "epoll"
	if s.engineName == EngineNet {
		api = "goroutines"
	}
	mode := "standalone"
	if s.cluster != nil {
		mode = "cluster"
	}
	field(b, "redis_version", compatibleVersion)
	field(b, "egal_version", s.config.Version)
	field(b, "redis_mode", mode)
	field(b, "os", runtime.GOOS+" "+runtime.GOARCH)
	field(b, "arch_bits", 32<<(^uint(0)>>63))
	field(b, "go_version", runtime.Version())
	field(b, "multiplexing_api", api)
	field(b, "process_id", os.Getpid())
	field(b, "run_id", s.runID)
	field(b, "tcp_port", s.address.Port())
	field(b, "server_time_usec", now.UnixMicro())
	field(b, "uptime_in_seconds", uptime)
	field(b, "uptime_in_days", uptime/86400)
	field(b, "hz", int(time.Second/housekeepingInterval))
	field(b, "configured_hz", int(time.Second/housekeepingInterval))
	field(b, "executable", executable)
}

func (s *Service) infoClients(b *strings.Builder) {
	input, output := 0, 0
	for _, c := range s.clients.all() {
		c.mu.Lock()
		input, output = max(input, c.seen.input), max(output, c.seen.output)
		c.mu.Unlock()
	}
	field(b, "connected_clients", s.clients.count())
	field(b, "maxclients", s.clients.maximum.Load())
	field(b, "client_recent_max_input_buffer", input)
	field(b, "client_recent_max_output_buffer", output)
	field(b, "blocked_clients", 0)
	field(b, "tracking_clients", 0)
}

func (s *Service) infoMemory(b *strings.Builder) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	dataset := s.store.UsedMemory()
	used := dataset + int64(stats.HeapAlloc)
	resident := residentBytes()
	if resident == 0 {
		resident = int64(stats.Sys) + s.arena.Reserved()
	}
	for _, row := range []struct {
		name  string
		bytes int64
	}{
		{"used_memory", used},
		{"used_memory_rss", resident},
		{"used_memory_dataset", dataset},
		{"used_memory_overhead", used - dataset},
		{"maxmemory", 0},
	} {
		field(b, row.name, row.bytes)
		if row.name != "used_memory_overhead" && row.name != "used_memory_dataset" {
			field(b, row.name+"_human", human(row.bytes))
		}
	}
	field(b, "maxmemory_policy", "noeviction")
	field(b, "mem_fragmentation_ratio", fmt.Sprintf("%.2f", float64(resident)/float64(max(used, 1))))
	field(b, "mem_allocator", "slab")
}

// human is a number of bytes for people.
func human(bytes int64) string {
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < 4 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", bytes)
	}
	return fmt.Sprintf("%.2f%c", value, " KMGT"[unit])
}

func (s *Service) infoStats(b *strings.Builder) {
	counters, keys := s.statistics, s.store.Stats()
	field(b, "total_connections_received", counters.accepted.Load()+counters.refused.Load())
	field(b, "total_commands_processed", counters.commands.Load())
	field(b, "instantaneous_ops_per_sec", s.rates.commands.perSecond.Load())
	field(b, "total_net_input_bytes", counters.inputBytes.Load())
	field(b, "total_net_output_bytes", counters.outputBytes.Load())
	field(b, "instantaneous_input_kbps", fmt.Sprintf("%.2f", float64(s.rates.input.perSecond.Load())/1024))
	field(b, "instantaneous_output_kbps", fmt.Sprintf("%.2f", float64(s.rates.output.perSecond.Load())/1024))
	field(b, "rejected_connections", counters.refused.Load())
	field(b, "expired_keys", keys.Expired)
	field(b, "evicted_keys", 0)
	field(b, "keyspace_hits", keys.Hits)
	field(b, "keyspace_misses", keys.Misses)
	field(b, "client_output_buffer_limit_disconnections", counters.overflowClosed.Load())
	field(b, "total_error_replies", counters.errors.Load())
}

func (s *Service) infoReplication(b *strings.Builder) {
	field(b, "role", "master")
	field(b, "connected_slaves", 0)
}

func (s *Service) infoCPU(b *strings.Builder) {
	system, user := processorSeconds()
	field(b, "used_cpu_sys", fmt.Sprintf("%.6f", system))
	field(b, "used_cpu_user", fmt.Sprintf("%.6f", user))
}

func (s *Service) infoCommandstats(b *strings.Builder) {
	line := func(row *command.Command) {
		of := s.statistics.of(row)
		calls, rejected, failed := of.calls.Load(), of.rejected.Load(), of.failed.Load()
		if calls+rejected+failed == 0 {
			return
		}
		microseconds := of.nanoseconds.Load() / 1000
		fmt.Fprintf(b, "cmdstat_%s:calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d\r\n",
			row.FullName(), calls, microseconds, float64(microseconds)/float64(max(calls, 1)), rejected, failed)
	}
	for _, row := range s.table.Commands() {
		line(row)
		for i := range row.Subcommands {
			line(&row.Subcommands[i])
		}
	}
}

func (s *Service) infoErrorstats(b *strings.Builder) {
	s.statistics.mu.Lock()
	defer s.statistics.mu.Unlock()
	for _, code := range slices.Sorted(maps.Keys(s.statistics.byCode)) {
		fmt.Fprintf(b, "errorstat_%s:count=%d\r\n", code, s.statistics.byCode[code])
	}
}

func (s *Service) infoCluster(b *strings.Builder) {
	enabled := 0
	if s.cluster != nil {
		enabled = 1
	}
	field(b, "cluster_enabled", enabled)
}

func (s *Service) infoKeyspace(b *strings.Builder) {
	for db := range s.store.Databases() {
		if keys := s.store.Len(db); keys > 0 {
			fmt.Fprintf(b, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", db, keys, s.store.Volatile(db), s.store.MeanTimeToLive(db))
		}
	}
}
