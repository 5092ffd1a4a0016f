//! The system calls that no build needs, as a filter for the kernel: seccomp(2), in classic BPF.
//!
//! It refuses what would widen the part of the kernel that a job can reach: modules, other kernels, keys, tracing of the
//! whole system, mounts, new user namespaces, sockets to the machine below, typing into a terminal. Everything else is
//! let through, so that a build finds no difference. A program of another architecture is killed at its first call, as
//! calls have other numbers there.

/// The filter as `bwrap --seccomp` reads it; none where the numbers of this system's calls are not known here.
pub fn filter() -> Option<Vec<u8>> {
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Some(linux::filter().iter().flat_map(|instruction| instruction.to_bytes()).collect());
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    None
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux {
    use libc::{EAFNOSUPPORT, ENOSYS, EPERM, c_long};

    /// `struct sock_filter` of <linux/filter.h>.
    #[derive(Debug, Clone, Copy)]
    pub(super) struct Instruction {
        code: u16,
        /// How many instructions to skip when the comparison holds,
        if_true: u8,
        /// and when it does not.
        if_false: u8,
        value: u32,
    }

    impl Instruction {
        pub(super) fn to_bytes(self) -> [u8; 8] {
            let [c0, c1] = self.code.to_ne_bytes();
            let [v0, v1, v2, v3] = self.value.to_ne_bytes();
            [c0, c1, self.if_true, self.if_false, v0, v1, v2, v3]
        }
    }

    const LOAD_WORD: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    #[cfg(target_arch = "x86_64")]
    const JUMP_GREATER_EQUAL: u16 = 0x35;
    const JUMP_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;

    /// Offsets into `struct seccomp_data`; the low halves of arguments on a little-endian machine.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const ARGUMENTS: [u32; 2] = [16, 24];

    const ALLOW: u32 = 0x7fff_0000;
    const KILL_PROCESS: u32 = 0x8000_0000;
    const ERRNO: u32 = 0x0005_0000;

    #[cfg(target_arch = "x86_64")]
    const OWN_ARCHITECTURE: u32 = 0xc000_003e;
    #[cfg(target_arch = "aarch64")]
    const OWN_ARCHITECTURE: u32 = 0xc000_00b7;
    /// From here on the numbers are those of the x32 variant, another way to the same calls.
    #[cfg(target_arch = "x86_64")]
    const X32_FIRST: u32 = 0x4000_0000;

    /// Refused with EPERM, whatever their arguments.
    const REFUSED: &[c_long] = &[
        // What the kernel is made of.
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_quotactl_fd,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_syslog,
        // Keys belong to users, not to namespaces.
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        // Programs in the kernel, and what watches all of it.
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_fanotify_init,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        // Other views of the file system.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_setns,
        // Opens files by number, past all folders.
        libc::SYS_open_by_handle_at,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_iopl,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_ioperm,
    ];

    /// Types into a terminal for somebody else.
    const TIOCSTI: u32 = 0x5412;
    const TIOCLINUX: u32 = 0x541c;
    const CLONE_NEWUSER: u32 = 0x1000_0000;
    /// Sockets to the machine that this one runs in: no network namespace holds them.
    const AF_VSOCK: u32 = 40;
    /// Sockets to the kernel's ciphers.
    const AF_ALG: u32 = 38;

    const fn code(code: u16, value: u32) -> Instruction {
        Instruction { code, if_true: 0, if_false: 0, value }
    }

    /// Gives this errno when the comparison holds, and goes on when it does not.
    fn errno_if(comparison: u16, value: u32, errno: i32) -> [Instruction; 2] {
        [Instruction { code: comparison, if_true: 0, if_false: 1, value }, code(RETURN, ERRNO | number(errno))]
    }

    /// A number that is never negative.
    fn number(value: i32) -> u32 {
        value.unsigned_abs()
    }

    fn call(number: c_long) -> u32 {
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// For one call: gives this errno when one of the comparisons with an argument holds, and else allows it.
    fn argument(system_call: c_long, at: u32, comparison: u16, values: &[u32], errno: i32) -> Vec<Instruction> {
        let mut inner = vec![code(LOAD_WORD, at)];
        inner.extend(values.iter().flat_map(|value| errno_if(comparison, *value, errno)));
        inner.push(code(RETURN, ALLOW));
        let if_false = u8::try_from(inner.len()).unwrap_or(u8::MAX);
        let jump = Instruction { code: JUMP_EQUAL, if_true: 0, if_false, value: call(system_call) };
        std::iter::once(jump).chain(inner).collect()
    }

    pub(super) fn filter() -> Vec<Instruction> {
        let mut filter = vec![
            code(LOAD_WORD, ARCHITECTURE),
            Instruction { code: JUMP_EQUAL, if_true: 1, if_false: 0, value: OWN_ARCHITECTURE },
            code(RETURN, KILL_PROCESS),
            code(LOAD_WORD, NUMBER),
        ];
        #[cfg(target_arch = "x86_64")]
        filter.extend(errno_if(JUMP_GREATER_EQUAL, X32_FIRST, ENOSYS));
        filter.extend(REFUSED.iter().flat_map(|refused| errno_if(JUMP_EQUAL, call(*refused), EPERM)));
        // Its flags lie in memory, which a filter cannot read. The C library falls back to clone.
        filter.extend(errno_if(JUMP_EQUAL, call(libc::SYS_clone3), ENOSYS));
        for creates in [libc::SYS_clone, libc::SYS_unshare] {
            filter.extend(argument(creates, ARGUMENTS[0], JUMP_ANY_BIT, &[CLONE_NEWUSER], EPERM));
        }
        filter.extend(argument(libc::SYS_ioctl, ARGUMENTS[1], JUMP_EQUAL, &[TIOCSTI, TIOCLINUX], EPERM));
        filter.extend(argument(libc::SYS_socket, ARGUMENTS[0], JUMP_EQUAL, &[AF_VSOCK, AF_ALG], EAFNOSUPPORT));
        filter.push(code(RETURN, ALLOW));
        filter
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// What the kernel would answer, by running the filter as it does.
        fn answer(architecture: u32, number: c_long, arguments: [u64; 2]) -> u32 {
            let filter = filter();
            let (mut at, mut accumulator) = (0, 0);
            loop {
                let Instruction { code, if_true, if_false, value } = filter[at];
                let jump = |holds: bool| usize::from(if holds { if_true } else { if_false });
                at += 1 + match code {
                    LOAD_WORD => {
                        accumulator = match value {
                            NUMBER => call(number),
                            ARCHITECTURE => architecture,
                            16 => u32::try_from(arguments[0] & 0xffff_ffff).unwrap(),
                            24 => u32::try_from(arguments[1] & 0xffff_ffff).unwrap(),
                            other => panic!("nothing is at {other}"),
                        };
                        0
                    }
                    JUMP_EQUAL => jump(accumulator == value),
                    0x35 => jump(accumulator >= value),
                    JUMP_ANY_BIT => jump(accumulator & value != 0),
                    RETURN => return value,
                    other => panic!("no instruction {other:#x}"),
                };
            }
        }

        #[test]
        fn what_a_build_needs_is_allowed() {
            for (number, arguments) in [
                (libc::SYS_read, [0, 0]),
                (libc::SYS_clone, [u64::from(number(libc::SIGCHLD)), 0]),
                (libc::SYS_ioctl, [0, 0x5401]),
                (libc::SYS_ptrace, [0, 0]),
                (libc::SYS_unshare, [0x0002_0000, 0]),
                (libc::SYS_socket, [1, 1]),
            ] {
                assert_eq!(answer(OWN_ARCHITECTURE, number, arguments), ALLOW, "{number}");
            }
        }

        #[test]
        fn what_no_build_needs_is_refused() {
            let refused = ERRNO | number(EPERM);
            for call in REFUSED {
                assert_eq!(answer(OWN_ARCHITECTURE, *call, [0, 0]), refused, "{call}");
            }
            // The upper half of an argument changes nothing.
            let new_user = (7 << 32) | u64::from(CLONE_NEWUSER) | 0x0002_0011;
            assert_eq!(answer(OWN_ARCHITECTURE, libc::SYS_clone, [new_user, 0]), refused);
            assert_eq!(answer(OWN_ARCHITECTURE, libc::SYS_unshare, [new_user, 0]), refused);
            assert_eq!(answer(OWN_ARCHITECTURE, libc::SYS_ioctl, [0, (1 << 32) | u64::from(TIOCSTI)]), refused);
            assert_eq!(answer(OWN_ARCHITECTURE, libc::SYS_socket, [40, 0]), ERRNO | number(EAFNOSUPPORT));
            assert_eq!(answer(OWN_ARCHITECTURE, libc::SYS_clone3, [0, 0]), ERRNO | number(ENOSYS));
            assert_eq!(answer(0x4000_0003, libc::SYS_read, [0, 0]), KILL_PROCESS);
            #[cfg(target_arch = "x86_64")]
            assert_eq!(answer(OWN_ARCHITECTURE, libc::SYS_mount | 0x4000_0000, [0, 0]), ERRNO | number(ENOSYS));
        }
    }
}
