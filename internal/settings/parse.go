package settings

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of one value.
const (
	maxValueBytes = 4096
	maxListItems  = 256
)

// parse turns a value's text into the Go type that the setting's Type names.
func (s Setting) parse(text string) (any, error) {
	if len(text) > maxValueBytes {
		return nil, fmt.Errorf("%d bytes, at most %d", len(text), maxValueBytes)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("it has characters that cannot be printed")
	}
	switch s.Type {
	case Bool:
		return parseBool(text)
	case Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q: want a whole number", text)
		}
		return n, s.inRange(n, strconv.FormatInt(s.Min, 10), strconv.FormatInt(s.Max, 10))
	case Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, fmt.Errorf("%q: want a duration such as 500ms or 2m", text)
		}
		return d, s.inRange(int64(d), time.Duration(s.Min).String(), time.Duration(s.Max).String())
	case Bytes:
		n, err := parseBytes(text)
		if err != nil {
			return nil, err
		}
		return n, s.inRange(n, formatBytes(s.Min), formatBytes(s.Max))
	case Enum:
		if !slices.Contains(s.Choices, text) {
			return nil, fmt.Errorf("%q: want %s", text, strings.Join(s.Choices, ", "))
		}
		return text, nil
	case List:
		return s.parseList(strings.Split(text, ","))
	case Address:
		return text, s.checkAddress(text)
	default:
		return text, nil
	}
}

func (s Setting) inRange(n int64, least, most string) error {
	if n < s.Min || n > s.Max {
		return fmt.Errorf("want %s to %s", least, most)
	}
	return nil
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, fmt.Errorf("%q: want true or false", text)
	}
}

// parseList takes the items; one empty item is an empty list.
func (s Setting) parseList(items []string) ([]string, error) {
	if len(items) > maxListItems {
		return nil, fmt.Errorf("%d items, at most %d", len(items), maxListItems)
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		item = strings.TrimSpace(item)
		if item == "" {
			if len(items) == 1 {
				break
			}
			return nil, errors.New("an empty item")
		}
		list = append(list, item)
	}
	return list, nil
}

func (s Setting) checkAddress(text string) error {
	if text == "" && s.Optional {
		return nil
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("%q: want host:port", text)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: want a port from 0 to 65535", text)
	}
	return nil
}

// units are those of sizes, the largest first.
var units = [...]struct {
	suffix string
	bytes  int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// parseBytes takes a whole number with a unit; without one it is bytes.
func parseBytes(text string) (int64, error) {
	number, factor := text, int64(1)
	for _, unit := range units {
		if rest, found := strings.CutSuffix(text, unit.suffix); found {
			number, factor = rest, unit.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q: want a size such as 512KiB or 10MiB", text)
	}
	if n > math.MaxInt64/factor {
		return 0, fmt.Errorf("%q: larger than any size", text)
	}
	return n * factor, nil
}

// formatBytes writes a size in the largest unit that needs no fraction.
func formatBytes(n int64) string {
	for _, unit := range units {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// format is the inverse of parse.
func format(value any) string {
	switch v := value.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case time.Duration:
		return v.String()
	case []string:
		return strings.Join(v, ",")
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}
