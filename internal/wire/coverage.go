package wire

// Row is one operation in the coverage table.
type Row struct {
	Service, Operation string
	State              State
	Reason             string // why a refused operation is refused
}

// State says how much of an operation drover has.
type State uint8

// The states of an operation.
const (
	Built State = iota + 1
	RefusedOp
	NotBuilt
)

// String is the state as the coverage page has it.
func (s State) String() string {
	switch s {
	case Built:
		return "built"
	case RefusedOp:
		return "refused"
	}
	return "not built"
}

// Coverage lists the operations of services, each service's in alphabetical order.
func Coverage(services []Service) []Row {
	var rows []Row
	for _, s := range services {
		for _, name := range sortedNames(s.ops) {
			op := s.ops[name]
			row := Row{Service: s.id.Name, Operation: name, State: NotBuilt, Reason: op.refused}
			switch {
			case op.built:
				row.State = Built
			case op.refused != "":
				row.State = RefusedOp
			}
			rows = append(rows, row)
		}
	}
	return rows
}
