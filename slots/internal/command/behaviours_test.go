package command

const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value"

var stringBehaviours = map[string][]behaviour{
	"get": {
		{"returns the string", []string{`SET k v → OK`, `GET k → "v"`, `get k → "v"`}},
		{"returns nil for no key", []string{`GET k → nil`}},
		{"refuses another type", []string{`LIST k`, `GET k → ` + wrongType}},
		{"does not see what has expired", []string{`SET k v PX 10 → OK`, `CLOCK 9`, `GET k → "v"`, `CLOCK 1`, `GET k → nil`}},
		{"keeps any bytes", []string{`SET "a\x00\r\n" "\xff\x00" → OK`, `GET "a\x00\r\n" → "\xff\x00"`}},
		{"wants one key", []string{`GET → -ERR wrong number of arguments for 'get' command`, `GET a b → -ERR wrong number of arguments for 'get' command`}},
	},
	"set": {
		{"replaces any type and drops the time to live", []string{`LIST k`, `SET k v → OK`, `PEXPIRE k 100 → 1`, `SET k w → OK`, `PTTL k → -1`}},
		{"NX sets only what is absent", []string{`SET k v NX → OK`, `SET k w nx → nil`, `GET k → "v"`}},
		{"XX sets only what is there", []string{`SET k v XX → nil`, `GET k → nil`, `SET k v → OK`, `SET k w XX → OK`, `GET k → "w"`}},
		{"IFEQ sets only what has that value", []string{`SET k v IFEQ v → nil`, `SET k v → OK`, `SET k w IFEQ x → nil`, `SET k w IFEQ v → OK`, `SET k z IFEQ x GET → "w"`, `LIST l`, `SET l w IFEQ x → ` + wrongType}},
		{"GET returns what was there", []string{`SET k v GET → nil`, `SET k w GET → "v"`, `SET k x NX GET → "w"`, `GET k → "w"`, `LIST l`, `SET l x GET → ` + wrongType, `TYPE l → list`}},
		{"EX, PX, EXAT and PXAT set when it expires", []string{
			`SET k v EX 10 → OK`, `PTTL k → 10000`, `SET k v PX 10 → OK`, `PTTL k → 10`,
			`SET k v EXAT 1700000100 → OK`, `TTL k → 100`, `SET k v PXAT 1700000000100 → OK`, `PTTL k → 100`,
		}},
		{"a moment in the past makes it expire at once", []string{`SET k v PXAT 1 → OK`, `GET k → nil`}},
		{"KEEPTTL keeps when it expires", []string{`SET k v EX 10 → OK`, `SET k w KEEPTTL → OK`, `PTTL k → 10000`, `GET k → "w"`}},
		{"options that contradict each other are a syntax error", []string{
			`SET k v NX XX → -ERR syntax error`, `SET k v EX 1 PX 1 → -ERR syntax error`, `SET k v EX 1 KEEPTTL → -ERR syntax error`,
			`SET k v KEEPTTL EX 1 → -ERR syntax error`, `SET k v EX → -ERR syntax error`, `SET k v PERSIST → -ERR syntax error`,
			`SET k v NX IFEQ x → -ERR syntax error`, `SET k v IFEQ x XX → -ERR syntax error`, `SET k v what → -ERR syntax error`,
		}},
		{"a time to live is a positive number in range", []string{
			`SET k v EX 0 → -ERR invalid expire time in 'set' command`, `SET k v PX -1 → -ERR invalid expire time in 'set' command`,
			`SET k v EX x → -ERR value is not an integer or out of range`, `SET k v EX 9223372036854775 → -ERR invalid expire time in 'set' command`,
			`SET k v EXAT 9223372036854775 → OK`, `SET k v EXAT 9223372036854776 → -ERR invalid expire time in 'set' command`,
			`SET k v PX 9223372036854775807 → -ERR invalid expire time in 'set' command`, `SET k v PXAT 9223372036854775807 → OK`,
		}},
	},
	"mget": {
		{"returns nil for what is absent or no string", []string{`SET a 1 → OK`, `LIST l`, `MGET a b "a" l → ["1" nil "1" nil]`}},
	},
	"mset": {
		{"sets all, the last of equal keys wins", []string{`MSET a 1 b 2 a 3 → OK`, `MGET a b → ["3" "2"]`}},
		{"wants pairs", []string{`MSET a 1 b → -ERR wrong number of arguments for 'mset' command`, `EXISTS a → 0`}},
	},
	"msetnx": {
		{"sets all or nothing", []string{`MSETNX a 1 b 2 → 1`, `MSETNX b 3 c 4 → 0`, `MGET a b c → ["1" "2" nil]`}},
		{"wants pairs", []string{`MSETNX a 1 b → -ERR wrong number of arguments for 'msetnx' command`}},
	},
	"setnx":  {{"sets only what is absent", []string{`SETNX k v → 1`, `SETNX k w → 0`, `GET k → "v"`, `LIST l`, `SETNX l v → 0`}}},
	"setex":  {{"sets value and seconds", []string{`SETEX k 10 v → OK`, `PTTL k → 10000`, `SETEX k 0 v → -ERR invalid expire time in 'setex' command`, `SETEX k x v → -ERR value is not an integer or out of range`}}},
	"psetex": {{"sets value and milliseconds", []string{`PSETEX k 10 v → OK`, `PTTL k → 10`, `PSETEX k -1 v → -ERR invalid expire time in 'psetex' command`}}},
	"getex": {
		{"returns the value and changes when it expires", []string{
			`SET k v → OK`, `GETEX k → "v"`, `PTTL k → -1`, `GETEX k EX 10 → "v"`, `PTTL k → 10000`, `GETEX k → "v"`, `PTTL k → 10000`,
			`GETEX k PERSIST → "v"`, `PTTL k → -1`, `GETEX k PXAT 1 → "v"`, `EXISTS k → 0`,
		}},
		{"judges the options before the key, and the time behind it", []string{
			`GETEX k EX → -ERR syntax error`, `GETEX k EX x → nil`, `SET k v → OK`, `GETEX k EX x → -ERR value is not an integer or out of range`,
			`GETEX k EX 0 → -ERR invalid expire time in 'getex' command`, `GETEX k PERSIST EX 1 → -ERR syntax error`, `GETEX k KEEPTTL → -ERR syntax error`,
			`LIST l`, `GETEX l → ` + wrongType,
		}},
	},
	"getdel": {{"returns and deletes", []string{`SET k v → OK`, `GETDEL k → "v"`, `GETDEL k → nil`, `LIST l`, `GETDEL l → ` + wrongType, `EXISTS l → 1`}}},
	"getset": {{"returns the old value and drops the time to live", []string{`GETSET k a → nil`, `EXPIRE k 10 → 1`, `GETSET k b → "a"`, `TTL k → -1`, `LIST l`, `GETSET l x → ` + wrongType}}},
	"getrange": {
		{"includes both ends and counts from behind", []string{
			`SET k Hello → OK`, `GETRANGE k 0 -1 → "Hello"`, `GETRANGE k 1 3 → "ell"`, `GETRANGE k -3 -2 → "ll"`, `GETRANGE k -100 100 → "Hello"`,
			`GETRANGE k 3 1 → ""`, `GETRANGE k -1 -3 → ""`, `GETRANGE k 5 9 → ""`, `GETRANGE k -9 -8 → "H"`, `GETRANGE none 0 -1 → ""`,
		}},
		{"wants integers", []string{`GETRANGE k a 1 → -ERR value is not an integer or out of range`, `GETRANGE k 1 1.0 → -ERR value is not an integer or out of range`}},
	},
	"substr": {{"is GETRANGE", []string{`SET k Hello → OK`, `SUBSTR k 1 -2 → "ell"`}}},
	"setrange": {
		{"overwrites and fills with zeros", []string{`SET k Hello → OK`, `SETRANGE k 1 ipp → 5`, `GET k → "Hippo"`, `SETRANGE k 7 s → 8`, `GET k → "Hippo\x00\x00s"`, `SETRANGE new 2 x → 3`, `GET new → "\x00\x00x"`}},
		{"an empty value changes nothing", []string{`SETRANGE k 9 "" → 0`, `EXISTS k → 0`, `SET k abc → OK`, `SETRANGE k 9 "" → 3`}},
		{"keeps the time to live", []string{`SET k abc PX 50 → OK`, `SETRANGE k 30 x → 31`, `PTTL k → 50`}},
		{"the string has a bound", []string{`LIMIT 64`, `SETRANGE k 63 x → 64`, `SETRANGE k 64 x → -ERR string exceeds maximum allowed size (proto-max-bulk-len)`, `SETRANGE k 9223372036854775807 x → -ERR string exceeds maximum allowed size (proto-max-bulk-len)`}},
		{"the offset is not negative", []string{`SETRANGE k -1 x → -ERR offset is out of range`, `SETRANGE k x v → -ERR value is not an integer or out of range`, `LIST l`, `SETRANGE l 0 "" → ` + wrongType}},
	},
	"append": {
		{"appends or creates", []string{`APPEND k Hello → 5`, `APPEND k " World" → 11`, `GET k → "Hello World"`, `APPEND k "" → 11`, `APPEND e "" → 0`, `EXISTS e → 1`}},
		{"keeps the time to live", []string{`SET k a PX 50 → OK`, `APPEND k b → 2`, `PTTL k → 50`}},
		{"the string has a bound", []string{
			`LIMIT 64`, `SETRANGE k 62 x → 63`, `APPEND k y → 64`, `APPEND k z → -ERR string exceeds maximum allowed size (proto-max-bulk-len)`, `STRLEN k → 64`,
		}},
		{"refuses another type", []string{`LIST k`, `APPEND k v → ` + wrongType}},
	},
	"strlen": {{"counts bytes", []string{`SET k é → OK`, `STRLEN k → 2`, `STRLEN none → 0`, `LIST l`, `STRLEN l → ` + wrongType}}},
	"lcs": {
		{"returns the subsequence or its length", []string{`MSET a ohmytext b mynewtext → OK`, `LCS a b → "mytext"`, `LCS a b LEN → 6`, `LCS a none → ""`, `LCS a none LEN → 0`}},
		{"IDX returns the runs from behind", []string{
			`MSET a ohmytext b mynewtext → OK`,
			`LCS a b IDX → ["matches" [[[4 7] [5 8]] [[2 3] [0 1]]] "len" 6]`,
			`LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN → ["matches" [[[4 7] [5 8] 4]] "len" 6]`,
			`RESP3`, `LCS a none IDX → {"matches" [] "len" 0}`,
		}},
		{"refuses what makes no sense", []string{
			`LIST l`, `LCS a l → -ERR The specified keys must contain string values`, `LCS a b LEN IDX → -ERR If you want both the length and indexes, please just use IDX.`,
			`LCS a b MINMATCHLEN → -ERR syntax error`, `LCS a b MINMATCHLEN x → -ERR value is not an integer or out of range`,
		}},
		{"its table has a bound", []string{`LIMIT 64`, `MSET a 123 b 123 → OK`, `LCS a b LEN → 3`, `SET b 1234 → OK`, `LCS a b LEN → -ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len`}},
	},
}

var numberBehaviours = map[string][]behaviour{
	"incr": {
		{"counts from 0 and keeps the time to live", []string{`INCR k → 1`, `PEXPIRE k 50 → 1`, `INCR k → 2`, `PTTL k → 50`}},
		{"stops at the largest integer", []string{`SET k 9223372036854775806 → OK`, `INCR k → 9223372036854775807`, `INCR k → -ERR increment or decrement would overflow`, `GET k → "9223372036854775807"`}},
		{"refuses what is no integer", []string{
			`SET k 1.0 → OK`, `INCR k → -ERR value is not an integer or out of range`, `SET k "" → OK`, `INCR k → -ERR value is not an integer or out of range`,
			`SET k " 1" → OK`, `INCR k → -ERR value is not an integer or out of range`, `SET k 9223372036854775808 → OK`, `INCR k → -ERR value is not an integer or out of range`,
			`LIST l`, `INCR l → ` + wrongType,
		}},
	},
	"incrby": {{"adds", []string{`INCRBY k 5 → 5`, `INCRBY k -7 → -2`, `INCRBY k x → -ERR value is not an integer or out of range`, `INCRBY k 9223372036854775807 → 9223372036854775805`, `INCRBY k 3 → -ERR increment or decrement would overflow`}}},
	"decr":   {{"subtracts one", []string{`DECR k → -1`, `SET k -9223372036854775808 → OK`, `DECR k → -ERR increment or decrement would overflow`}}},
	"decrby": {{"subtracts", []string{`DECRBY k 5 → -5`, `DECRBY k -7 → 2`, `DECRBY k -9223372036854775808 → -ERR decrement would overflow`}}},
	"incrbyfloat": {
		{"adds and prints without trailing zeros", []string{
			`SET k 10.50 → OK`, `INCRBYFLOAT k 0.1 → "10.6"`, `INCRBYFLOAT k -5 → "5.6"`, `SET k 5.0e3 → OK`, `INCRBYFLOAT k 2.0e2 → "5200"`,
			`SET k 3 → OK`, `INCRBYFLOAT k 1.1 → "4.1"`, `INCRBYFLOAT n -0.0 → "0"`,
		}},
		{"has the precision of the extended format", []string{
			`SET k 0.1 → OK`, `INCRBYFLOAT k 0.2 → "0.3"`, `SET k 17179869184 → OK`, `INCRBYFLOAT k 1.5 → "17179869185.5"`,
			`SET k 1 → OK`, `INCRBYFLOAT k 1e-17 → "1.00000000000000001"`, `INCRBYFLOAT k 1e-18 → "1.00000000000000001"`,
		}},
		{"keeps the time to live", []string{`SET k 1 PX 50 → OK`, `INCRBYFLOAT k 1.5 → "2.5"`, `PTTL k → 50`}},
		{"refuses what is no finite number", []string{
			`SET k x → OK`, `INCRBYFLOAT k 1 → -ERR value is not a valid float`, `INCRBYFLOAT n " 1" → -ERR value is not a valid float`, `INCRBYFLOAT n nan → -ERR value is not a valid float`,
			`INCRBYFLOAT n 1e4933 → -ERR value is not a valid float`, `INCRBYFLOAT n inf → -ERR increment would produce NaN or Infinity`, `LIST l`, `INCRBYFLOAT l 1 → ` + wrongType,
		}},
	},
}

var keyBehaviours = map[string][]behaviour{
	"del":    {{"counts what was there", []string{`MSET a 1 b 2 → OK`, `LIST l`, `DEL a b c l a → 3`, `EXISTS a b l → 0`}}},
	"unlink": {{"counts what was there", []string{`MSET a 1 b 2 → OK`, `UNLINK a c b → 2`}}},
	"exists": {{"counts a key as often as it is named", []string{`SET a 1 → OK`, `EXISTS a b a → 2`}}},
	"touch":  {{"counts what is there", []string{`SET a 1 → OK`, `TOUCH a b a → 2`}}},
	"type":   {{"names the type", []string{`SET a 1 → OK`, `LIST l`, `TYPE a → string`, `TYPE l → list`, `TYPE none → none`}}},
	"rename": {
		{"moves value and time to live, and replaces", []string{`SET a 1 PX 50 → OK`, `SET b 2 → OK`, `RENAME a b → OK`, `GET b → "1"`, `PTTL b → 50`, `EXISTS a → 0`}},
		{"to itself does nothing", []string{`SET a 1 → OK`, `RENAME a "a" → OK`, `GET a → "1"`, `RENAME none "none" → -ERR no such key`}},
		{"moves any type", []string{`LIST l`, `RENAME l m → OK`, `TYPE m → list`}},
	},
	"renamenx": {{"does not replace", []string{`MSET a 1 b 2 → OK`, `RENAMENX a b → 0`, `RENAMENX a "a" → 0`, `RENAMENX a c → 1`, `GET c → "1"`, `RENAMENX none x → -ERR no such key`}}},
	"copy": {
		{"copies value and time to live", []string{`SET a 1 PX 50 → OK`, `COPY a b → 1`, `GET b → "1"`, `PTTL b → 50`, `GET a → "1"`, `COPY none c → 0`}},
		{"replaces only when told", []string{`MSET a 1 b 2 → OK`, `COPY a b → 0`, `COPY a b REPLACE → 1`, `GET b → "1"`}},
		{"copies to another database", []string{`SET a 1 → OK`, `COPY a "a" DB 1 → 1`, `COPY a "a" DB 1 → 0`, `COPY a "a" DB 1 REPLACE → 1`, `MOVE a 1 → 0`}},
		{"refuses what makes no sense", []string{
			`COPY a "a" → -ERR source and destination objects are the same`, `COPY a b DB 15 → 0`, `COPY a b DB 16 → -ERR DB index is out of range`, `COPY a b DB -1 → -ERR DB index is out of range`,
			`COPY a b DB x → -ERR value is not an integer or out of range`, `COPY a b DB → -ERR syntax error`, `COPY a b what → -ERR syntax error`,
			`COPY a b DB 2147483648 → -ERR value is out of range, value must between -2147483648 and 2147483647`,
		}},
	},
	"move": {
		{"moves unless the key is taken there", []string{`SET a 1 PX 50 → OK`, `MOVE a 1 → 1`, `EXISTS a → 0`, `SET a 2 → OK`, `MOVE a 1 → 0`, `GET a → "2"`, `MOVE none 1 → 0`}},
		{"refuses what makes no sense", []string{`MOVE a 0 → -ERR source and destination objects are the same`, `MOVE a 16 → -ERR DB index is out of range`, `MOVE a x → -ERR value is not an integer or out of range`}},
	},
	"object": {
		{"ENCODING tells the representation", []string{
			`SET k 1 → OK`, `OBJECT ENCODING k → "int"`, `SET k 9223372036854775808 → OK`, `OBJECT ENCODING k → "embstr"`, `SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa → OK`, `OBJECT ENCODING k → "embstr"`,
			`APPEND k a → 45`, `OBJECT ENCODING k → "raw"`, `OBJECT ENCODING none → nil`,
		}},
		{"REFCOUNT tells one, or that it is shared", []string{`MSET a x b 9999 c 10000 → OK`, `OBJECT REFCOUNT a → 1`, `OBJECT REFCOUNT b → 2147483647`, `OBJECT REFCOUNT c → 1`, `OBJECT REFCOUNT none → nil`}},
		{"HELP lists the subcommands", []string{`OBJECT HELP → [OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are: ENCODING key     Returns the internal encoding of a value. HELP     Lists the subcommands. REFCOUNT key     Returns the number of references to a value.]`}},
		{"refuses other subcommands", []string{`OBJECT what k → -ERR unknown subcommand 'what'. Try OBJECT HELP.`, `OBJECT → -ERR wrong number of arguments for 'object' command`, `OBJECT ENCODING → -ERR wrong number of arguments for 'object|encoding' command`}},
	},
}

var expiryBehaviours = map[string][]behaviour{
	"expire": {
		{"sets seconds to live", []string{`SET k v → OK`, `EXPIRE k 10 → 1`, `PTTL k → 10000`, `EXPIRE none 10 → 0`, `CLOCK 10000`, `EXISTS k → 0`}},
		{"a time that has passed deletes", []string{`SET k v → OK`, `EXPIRE k 0 → 1`, `EXISTS k → 0`, `SET k v → OK`, `EXPIRE k -1 → 1`, `EXISTS k → 0`}},
		{"NX only where there is none", []string{`SET k v → OK`, `EXPIRE k 10 NX → 1`, `EXPIRE k 20 NX → 0`, `TTL k → 10`}},
		{"XX only where there is one", []string{`SET k v → OK`, `EXPIRE k 10 XX → 0`, `EXPIRE k 10 → 1`, `EXPIRE k 20 XX → 1`, `TTL k → 20`}},
		{"GT only later, and none is latest", []string{`SET k v → OK`, `EXPIRE k 10 GT → 0`, `EXPIRE k 10 → 1`, `EXPIRE k 10 GT → 0`, `EXPIRE k 11 GT → 1`, `TTL k → 11`}},
		{"LT only earlier, and none is latest", []string{`SET k v → OK`, `EXPIRE k 10 LT → 1`, `EXPIRE k 10 LT → 0`, `EXPIRE k 9 XX LT → 1`, `TTL k → 9`}},
		{"refuses what makes no sense", []string{
			`EXPIRE k 10 what → -ERR Unsupported option what`, `EXPIRE k 10 NX GT → -ERR NX and XX, GT or LT options at the same time are not compatible`,
			`EXPIRE k 10 GT LT → -ERR GT and LT options at the same time are not compatible`, `EXPIRE k x → -ERR value is not an integer or out of range`,
			`EXPIRE k 9223372036854775807 → -ERR invalid expire time in 'expire' command`, `EXPIRE k -9223372036854775808 → -ERR invalid expire time in 'expire' command`,
			`EXPIRE k 9223372036854775 → -ERR invalid expire time in 'expire' command`,
		}},
	},
	"pexpire":   {{"sets milliseconds to live", []string{`SET k v → OK`, `PEXPIRE k 10 → 1`, `PTTL k → 10`, `PEXPIRE k 9223372036854775807 → -ERR invalid expire time in 'pexpire' command`}}},
	"expireat":  {{"sets the second it expires", []string{`SET k v → OK`, `EXPIREAT k 1700000010 → 1`, `TTL k → 10`, `EXPIREAT k 1 → 1`, `EXISTS k → 0`}}},
	"pexpireat": {{"sets the millisecond it expires", []string{`SET k v → OK`, `PEXPIREAT k 1700000000010 → 1`, `PTTL k → 10`, `PEXPIREAT k 1700000000000 → 1`, `EXISTS k → 0`}}},
	"ttl":       {{"rounds to the nearest second", []string{`SET k v PX 1500 → OK`, `TTL k → 2`, `CLOCK 1`, `TTL k → 1`, `PERSIST k → 1`, `TTL k → -1`, `TTL none → -2`}}},
	"pttl":      {{"tells the milliseconds left", []string{`SET k v PX 1500 → OK`, `CLOCK 500`, `PTTL k → 1000`, `CLOCK 1000`, `PTTL k → -2`}}},
	"expiretime": {{"tells the second it expires", []string{
		`SET k v PX 1499 → OK`, `EXPIRETIME k → 1700000001`, `SET k v → OK`, `EXPIRETIME k → -1`, `EXPIRETIME none → -2`,
		`SET k v PXAT 9223372036854775807 → OK`, `EXPIRETIME k → 9223372036854776`,
	}}},
	"pexpiretime": {{"tells the millisecond it expires", []string{`SET k v PX 1499 → OK`, `PEXPIRETIME k → 1700000001499`}}},
	"persist":     {{"takes the time to live away", []string{`SET k v EX 10 → OK`, `PERSIST k → 1`, `PERSIST k → 0`, `PERSIST none → 0`, `TTL k → -1`}}},
}

var walkBehaviours = map[string][]behaviour{
	"keys": {{"lists what matches", []string{`SET abc 1 → OK`, `SET "" 1 → OK`, `SET gone 1 PXAT 1 → OK`, `KEYS a* → ["abc"]`, `KEYS "" → [""]`, `KEYS [^a]* → []`, `KEYS gone → []`}}},
	"scan": {
		{"returns a cursor and names", []string{`SCAN 0 → ["0" []]`, `SET abc 1 → OK`, `SCAN 0 COUNT 1000 → ["0" ["abc"]]`, `SCAN 0 MATCH x* COUNT 1000 → ["0" []]`, `LIST l`, `SCAN 0 TYPE LIST COUNT 1000 → ["0" ["l"]]`, `SCAN 0 TYPE what COUNT 1000 → ["0" []]`}},
		{"refuses what makes no sense", []string{
			`SCAN x → -ERR invalid cursor`, `SCAN 18446744073709551616 → -ERR invalid cursor`, `SCAN 0 COUNT 0 → -ERR syntax error`, `SCAN 0 COUNT x → -ERR value is not an integer or out of range`,
			`SCAN 0 MATCH → -ERR syntax error`, `SCAN 0 what x → -ERR syntax error`,
		}},
	},
	"randomkey": {{"returns a name or nil", []string{`RANDOMKEY → nil`, `SET k v → OK`, `RANDOMKEY → "k"`}}},
	"dbsize":    {{"counts one database", []string{`MSET a 1 b 2 → OK`, `COPY a c DB 1 → 1`, `DBSIZE → 2`}}},
	"flushdb":   {{"empties one database", []string{`MSET a 1 b 2 → OK`, `MOVE a 1 → 1`, `FLUSHDB ASYNC → OK`, `DBSIZE → 0`, `SET a 3 → OK`, `MOVE a 1 → 0`, `FLUSHDB what → -ERR syntax error`, `FLUSHDB SYNC x → -ERR syntax error`}}},
	"flushall":  {{"empties all databases", []string{`MSET a 1 b 2 → OK`, `MOVE a 1 → 1`, `FLUSHALL → OK`, `DBSIZE → 0`, `SET a 3 → OK`, `MOVE a 1 → 1`, `FLUSHALL what → -ERR syntax error`}}},
}

var commandBehaviours = map[string][]behaviour{
	"command": {
		{"COUNT counts commands, not subcommands", []string{`COMMAND COUNT → 48`}},
		{"INFO describes, and nil is unknown", []string{`COMMAND INFO GET what → [["get" 2 [readonly fast] 1 1 1 [@read @string @fast] [] [["flags" [RO access] "begin_search" ["type" "index" "spec" ["index" 1]] "find_keys" ["type" "range" "spec" ["lastkey" 0 "keystep" 1 "limit" 0]]]] []] nil]`}},
		{"INFO uses sets and maps in RESP3", []string{`RESP3`, `COMMAND INFO object|help → [["object|help" 2 ~[loading stale] 0 0 0 ~[@keyspace @slow] ~[] ~[] ~[]]]`}},
		{"DOCS documents, and leaves unknown names out", []string{
			`RESP3`, `COMMAND DOCS what → {}`,
			`COMMAND DOCS GETSET → {"getset" {"summary" "Replaces a string and returns what it was" "since" "1.0.0" "group" "string" "complexity" "O(1)" "doc_flags" ~[deprecated] "deprecated_since" "6.2.0" "replaced_by" "` + "`SET` with `GET`" + `" "arguments" [{"name" "key" "type" "key" "display_text" "key" "key_spec_index" 0} {"name" "value" "type" "string" "display_text" "value"}]}}`,
		}},
		{"LIST filters", []string{
			`COMMAND LIST FILTERBY PATTERN SETR* → ["setrange"]`, `COMMAND LIST FILTERBY PATTERN object|* → ["object|encoding" "object|help" "object|refcount"]`, `COMMAND LIST FILTERBY ACLCAT dangerous → ["flushall" "flushdb" "keys"]`,
			`COMMAND LIST FILTERBY ACLCAT what → []`, `COMMAND LIST FILTERBY MODULE json → []`, `COMMAND LIST FILTERBY what x → -ERR syntax error`, `COMMAND LIST what → -ERR syntax error`,
		}},
		{"GETKEYS finds the keys of a call", []string{
			`COMMAND GETKEYS GET k → ["k"]`, `COMMAND GETKEYS GET → -ERR wrong number of arguments for 'command|getkeys' command`, `COMMAND GETKEYS SET k v → ["k"]`, `COMMAND GETKEYS MSET a 1 b 2 → ["a" "b"]`, `COMMAND GETKEYS OBJECT ENCODING k → ["k"]`,
			`COMMAND GETKEYS what a → -ERR Invalid command specified`, `COMMAND GETKEYS OBJECT HELP → -ERR The command has no key arguments`, `COMMAND GETKEYS GET a b → -ERR Invalid number of arguments specified for command`,
		}},
		{"GETKEYSANDFLAGS tells what happens to them", []string{`COMMAND GETKEYSANDFLAGS SET k v → [["k" [OW update]]]`, `COMMAND GETKEYSANDFLAGS SET k v GET → [["k" [RW access update]]]`, `COMMAND GETKEYSANDFLAGS RENAME a b → [["a" [RW access delete]] ["b" [OW update]]]`}},
		{"HELP lists the subcommands", []string{`COMMAND HELP x → -ERR wrong number of arguments for 'command|help' command`, `COMMAND what → -ERR unknown subcommand 'what'. Try COMMAND HELP.`}},
		{"an unknown command is answered with its words", []string{
			`foo → -ERR unknown command 'foo', with args beginning with: `, `foo a b → -ERR unknown command 'foo', with args beginning with: 'a' 'b' `, `"f\r\no" "a\x00b" → -ERR unknown command 'f  o', with args beginning with: 'a' `,
		}},
	},
}
