package main

import (
	"io"
	"log/slog"
)

// newLogger logs to w: as text or json, "auto" chooses text for terminals.
func newLogger(w io.Writer, format string, level slog.Leveler, terminal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "text" || format == "auto" && terminal {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}
