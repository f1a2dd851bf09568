//! Needs of a command: targets, emulators, tools.

use firmware_build::machine::{MACHINES, Machine};

use crate::boards::{BOARDS, Board};

/// Needs of a command.
#[derive(Debug, Default, Clone)]
pub struct Needs {
    /// Triples of the targets.
    pub targets: Vec<&'static str>,
    /// Emulated machines.
    pub machines: Vec<&'static Machine>,
    /// Tools of the checks: rustfmt, clippy, MPI.
    pub checks: bool,
}

impl Needs {
    /// Needs of one emulated machine.
    pub fn of_machine(machine: &'static Machine) -> Self {
        Self::default().and_machine(machine)
    }

    /// Needs of one board.
    pub fn of_board(board: &Board) -> Self {
        Self::default().and_board(board)
    }

    /// Needs of every board and machine.
    pub fn of_everything() -> Self {
        let boards = BOARDS.iter().fold(Self::default(), Self::and_board);
        MACHINES.iter().fold(boards, Self::and_machine)
    }

    /// The same, and those of the checks: rustfmt, clippy, MPI.
    pub fn and_checks(mut self) -> Self {
        self.checks = true;
        self
    }

    fn and_board(mut self, board: &Board) -> Self {
        self.add_target(board.target);
        match board.machine() {
            Some(machine) => self.and_machine(machine),
            None => self,
        }
    }

    fn and_machine(mut self, machine: &'static Machine) -> Self {
        self.add_target(machine.target);
        if self.machines.iter().all(|known| known.name != machine.name) {
            self.machines.push(machine);
        }
        self
    }

    fn add_target(&mut self, target: &'static str) {
        if !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }
}
