package command

import "strings"

// Reference renders docs/reference/commands.md: every row of the table by group.
func Reference(t *Table) string {
	var b strings.Builder
	return b.String()
}

// Compatibility renders docs/compat/redis.md: which commands of Redis 7.2 the table has, how rows differ, and which
// commands are missing.
func Compatibility(t *Table) string {
	var b strings.Builder
	return b.String()
}
