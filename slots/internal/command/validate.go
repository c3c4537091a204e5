package command

import (
	"errors"
	"fmt"
	"strings"
)

// validate finds the faults of one row that would only show when somebody calls the command.
func (c *Command) validate() error {
	switch {
	case c.Name == "" || len(c.Name) > MaxNameLength:
		return fmt.Errorf("the name must have 1 to %d bytes", MaxNameLength)
	case c.Name != strings.ToLower(c.Name) || strings.ContainsAny(c.Name, " |\r\n"):
		return errors.New("the name must be one word in lower case")
	case c.Arity == 0:
		return errors.New("an arity of zero accepts nothing")
	case c.Run == nil && !c.Container():
		return errors.New("there is nothing to run")
	case len(c.Subcommands) > MaxSubcommands:
		return fmt.Errorf("more than %d subcommands", MaxSubcommands)
	case c.Group == "" || c.Summary == "" || c.Since == "":
		return errors.New("group, summary and since must be given")
	}
	for i, spec := range c.KeySpecs {
		if spec.Keyword == "" && (spec.Index < 1 || spec.KeyStep < 1) && spec.Flags&KeyIncomplete == 0 {
			return fmt.Errorf("key specification %d has no beginning or no step", i)
		}
	}
	return validateArguments(c.Arguments, len(c.KeySpecs))
}

// validateArguments checks the syntax tree of a row.
func validateArguments(arguments []Argument, specs int) error {
	for _, a := range arguments {
		if a.Name == "" || a.Type > Block {
			return fmt.Errorf("argument %q has no name or an unknown type", a.Name)
		}
		if a.Type == KeyArgument && (a.KeySpec < 0 || a.KeySpec >= specs) {
			return fmt.Errorf("argument %q names key specification %d of %d", a.Name, a.KeySpec, specs)
		}
		if nested := a.Type == OneOf || a.Type == Block; nested != (len(a.Arguments) > 0) {
			return fmt.Errorf("argument %q: only a choice or a block holds arguments, and it holds some", a.Name)
		}
		if err := validateArguments(a.Arguments, specs); err != nil {
			return err
		}
	}
	return nil
}
