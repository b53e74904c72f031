package sched

// Stir says that something has happened to all that is kept.
func (s *State) Stir() {
	for _, h := range s.holds {
		s.stir(h)
	}
}

// Attempts is how often it was tried to place a unit.
func (s *State) Attempts() uint64 { return s.attempts }
