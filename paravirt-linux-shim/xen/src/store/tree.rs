// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The nodes: names, values, and what lies below, in fixed storage.

use heapless::Vec;

use super::{Path, Refusal};

/// Nodes that a store has at most.
pub const NODES: usize = 640;
/// Bytes of a node's name.
pub const NAME: usize = 40;
/// Bytes of a value.
pub const VALUE: usize = 96;

/// The root's number; as a link: there is none.
const NONE: u16 = 0;

/// A node. Its links are numbers of others.
#[derive(Debug)]
struct Node {
    name: Vec<u8, NAME, u8>,
    value: Vec<u8, VALUE, u8>,
    used: bool,
    /// The first of those below.
    child: u16,
    /// The next one of its parent's.
    next: u16,
}

/// The tree. All zeros is an empty one, so that it takes no place in a program's file.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: [Node; NODES],
}

impl Tree {
    pub(super) const fn new() -> Self {
        const FREE: Node = Node { name: Vec::new(), value: Vec::new(), used: false, child: NONE, next: NONE };
        Self { nodes: [FREE; NODES] }
    }

    fn node(&self, number: u16) -> Option<&Node> {
        self.nodes.get(usize::from(number))
    }

    fn node_mut(&mut self, number: u16) -> Result<&mut Node, Refusal> {
        self.nodes.get_mut(usize::from(number)).ok_or(Refusal::NoEntry)
    }

    /// Those below a node, in the order in which they were made.
    fn below(&self, number: u16) -> impl Iterator<Item = u16> + '_ {
        let first = self.node(number).map_or(NONE, |node| node.child);
        core::iter::successors(Some(first), |at| self.node(*at).map(|node| node.next))
            .take_while(|at| *at != NONE)
            .take(NODES)
    }

    fn step(&self, from: u16, name: &[u8]) -> Option<u16> {
        self.below(from).find(|at| self.node(*at).is_some_and(|node| node.name == name))
    }

    fn find(&self, path: &Path) -> Result<u16, Refusal> {
        path.names().try_fold(NONE, |at, name| self.step(at, name)).ok_or(Refusal::NoEntry)
    }

    /// A node's value.
    pub(super) fn value(&self, path: &Path) -> Result<&[u8], Refusal> {
        Ok(&self.node(self.find(path)?).ok_or(Refusal::NoEntry)?.value)
    }

    /// The names of what lies below a node.
    pub(super) fn list(&self, path: &Path) -> Result<impl Iterator<Item = &[u8]>, Refusal> {
        let at = self.find(path)?;
        Ok(self.below(at).filter_map(|below| self.node(below)).map(|node| node.name.as_slice()))
    }

    /// Makes a node, and those on the way; tells its number. One that is there stays.
    fn make(&mut self, path: &Path) -> Result<u16, Refusal> {
        // First a look whether all of it fits: then nothing is left half made.
        let mut at = Some(NONE);
        let mut missing = 0;
        for name in path.names() {
            if name.len() > NAME {
                return Err(Refusal::NoSpace);
            }
            at = at.and_then(|at| self.step(at, name));
            missing += usize::from(at.is_none());
        }
        let free = self.nodes.iter().skip(1).filter(|node| !node.used);
        if missing > 0 && free.take(missing).count() < missing {
            return Err(Refusal::NoSpace);
        }
        path.names().try_fold(NONE, |at, name| match self.step(at, name) {
            Some(next) => Ok(next),
            None => self.add(at, name),
        })
    }

    fn add(&mut self, parent: u16, name: &[u8]) -> Result<u16, Refusal> {
        let free = (0u16..).zip(&self.nodes).skip(1).find(|(_, node)| !node.used);
        let number = free.ok_or(Refusal::NoSpace)?.0;
        let last = self.below(parent).last();
        let node = self.node_mut(number)?;
        node.name = Vec::from_slice(name).map_err(|_| Refusal::NoSpace)?;
        node.used = true;
        match last {
            Some(last) => self.node_mut(last)?.next = number,
            None => self.node_mut(parent)?.child = number,
        }
        Ok(number)
    }

    /// Makes a node without a value, unless it is there.
    pub(super) fn make_directory(&mut self, path: &Path) -> Result<(), Refusal> {
        self.make(path).map(|_| ())
    }

    /// Writes a value.
    pub(super) fn write(&mut self, path: &Path, value: &[u8]) -> Result<(), Refusal> {
        let value = Vec::from_slice(value).map_err(|_| Refusal::NoSpace)?;
        let at = self.make(path)?;
        self.node_mut(at)?.value = value;
        Ok(())
    }

    /// Removes a node and what lies below. The root stays.
    pub(super) fn remove(&mut self, path: &Path) -> Result<(), Refusal> {
        let at = self.find(path)?;
        let parent = path.names().try_fold((NONE, NONE), |(_, at), name| Some((at, self.step(at, name)?)));
        let Some((parent, _)) = parent.filter(|_| at != NONE) else { return Err(Refusal::Invalid) };
        let next = self.node(at).map_or(NONE, |node| node.next);
        match self.below(parent).take_while(|below| *below != at).last() {
            Some(before) => self.node_mut(before)?.next = next,
            None => self.node_mut(parent)?.child = next,
        }
        // Down to a node without any below, and up again: the link upwards takes the place of the
        // one to the next.
        self.node_mut(at)?.next = NONE;
        let mut at = at;
        for _ in 0..2 * NODES {
            let child = self.node(at).map_or(NONE, |node| node.child);
            if child == NONE {
                let up = core::mem::replace(&mut self.node_mut(at)?.next, NONE);
                let node = self.node_mut(at)?;
                node.name.clear();
                node.value.clear();
                node.used = false;
                at = up;
                if at == NONE {
                    break;
                }
            } else {
                let next = core::mem::replace(&mut self.node_mut(child)?.next, at);
                self.node_mut(at)?.child = next;
                at = child;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Tree {
    /// How many nodes are in use, the root aside.
    pub(super) fn used(&self) -> usize {
        self.nodes.iter().filter(|node| node.used).count()
    }
}
