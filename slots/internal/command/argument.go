package command

// ArgumentType says what a client has to put in an argument's place.
type ArgumentType uint8

// The types of arguments.
const (
	StringArgument ArgumentType = iota
	IntegerArgument
	DoubleArgument
	KeyArgument
	PatternArgument
	UnixTimeArgument
	PureToken // nothing but the token itself
	OneOf     // one of the nested arguments
	Block     // all nested arguments, in their order
)

var argumentTypeNames = [...]string{
	StringArgument: "string", IntegerArgument: "integer", DoubleArgument: "double", KeyArgument: "key",
	PatternArgument: "pattern", UnixTimeArgument: "unix-time", PureToken: "pure-token", OneOf: "oneof", Block: "block",
}

// String is the type's name in COMMAND DOCS.
func (t ArgumentType) String() string { return argumentTypeNames[t] }

// Argument is a node of a command's syntax.
type Argument struct {
	// Name names the argument in lower case.
	Name string
	// Type says what stands in its place.
	Type ArgumentType
	// KeySpec is the index of the key specification a KeyArgument belongs to.
	KeySpec int
	// Token is the fixed word before the argument.
	Token string
	// Since is the version that brought the argument, when later than the command.
	Since string
	// Optional arguments may be left out; Multiple may be repeated; MultipleToken repeats the token too.
	Optional, Multiple, MultipleToken bool
	// Arguments are the parts of a OneOf or a Block.
	Arguments []Argument
}
