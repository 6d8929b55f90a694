"""The system calls and constants that the native engine uses, as Linux declares them."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "errno.h" nogil:
    int errno
    int EADDRINUSE, EAGAIN, EBADF, ECONNABORTED, ECONNREFUSED, ECONNRESET, EINPROGRESS, EINTR, EINVAL, ENOBUFS, ENOENT
    int EPROTO, ENOMEM, ENOSPC, ENOTCONN, EPERM, ETIMEDOUT, EWOULDBLOCK


cdef extern from "sys/socket.h" nogil:
    ctypedef unsigned int socklen_t
    ctypedef unsigned short sa_family_t
    struct sockaddr:
        sa_family_t sa_family
    struct linger:
        int l_onoff
        int l_linger
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
    enum:
        AF_INET
        AF_INET6
        MSG_ERRQUEUE
        MSG_NOSIGNAL
        MSG_PEEK
        SHUT_WR
        SOCK_CLOEXEC
        SOCK_NONBLOCK
        SOCK_STREAM
        SOL_SOCKET
        SO_ACCEPTCONN
        SO_ERROR
        SO_LINGER
        SO_REUSEADDR
        SO_REUSEPORT
    int socket(int domain, int type, int protocol)
    int bind(int fd, const sockaddr *address, socklen_t length)
    int listen(int fd, int backlog)
    int accept4(int fd, sockaddr *address, socklen_t *length, int flags)
    int connect(int fd, const sockaddr *address, socklen_t length)
    int getpeername(int fd, sockaddr *address, socklen_t *length)
    int getsockname(int fd, sockaddr *address, socklen_t *length)
    int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
    int shutdown(int fd, int how)
    int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
    ssize_t recv(int fd, void *buffer, size_t length, int flags)
    ssize_t recvmsg(int fd, msghdr *message, int flags)
    ssize_t send(int fd, const void *buffer, size_t length, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)


cdef extern from "sys/ioctl.h" nogil:
    int ioctl(int fd, unsigned long request, ...)


cdef extern from "linux/sockios.h" nogil:
    enum:
        SIOCOUTQ


cdef extern from "netinet/in.h" nogil:
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in:
        sa_family_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        sa_family_t sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    bint IN6_IS_ADDR_LINKLOCAL(const in6_addr *address)
    enum:
        INET6_ADDRSTRLEN
        IPPROTO_IP
        IPPROTO_IPV6
        IPPROTO_TCP
        IPV6_V6ONLY
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)


cdef extern from "netinet/tcp.h" nogil:
    enum:
        TCP_DEFER_ACCEPT
        TCP_NODELAY


cdef extern from "arpa/inet.h" nogil:
    int inet_pton(int family, const char *text, void *address)
    const char *inet_ntop(int family, const void *address, char *text, socklen_t size)


cdef extern from "net/if.h" nogil:
    enum:
        IF_NAMESIZE
    char *if_indextoname(unsigned int index, char *name)


cdef extern from "sys/epoll.h" nogil:
    enum:
        EPOLLERR
        EPOLLET
        EPOLLHUP
        EPOLLIN
        EPOLLOUT
        EPOLLRDHUP
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL
        EPOLL_CTL_MOD
    union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int capacity, int timeout)


cdef extern from "sys/eventfd.h" nogil:
    enum:
        EFD_CLOEXEC
        EFD_NONBLOCK
    int eventfd(unsigned int value, int flags)


cdef extern from "time.h" nogil:
    ctypedef long time_t
    enum:
        CLOCK_MONOTONIC
    struct timespec:
        time_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec *now)


cdef extern from "sys/timerfd.h" nogil:
    struct itimerspec:
        timespec it_interval
        timespec it_value
    enum:
        TFD_CLOEXEC
        TFD_NONBLOCK
        TFD_TIMER_ABSTIME
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *value, itimerspec *previous)


cdef extern from "fcntl.h" nogil:
    enum:
        O_CLOEXEC
        O_RDONLY
    int open(const char *path, int flags)


cdef extern from "unistd.h" nogil:
    int close(int fd)
    int dup3(int fd, int number, int flags)
    ssize_t read(int fd, void *buffer, size_t length)
    ssize_t write(int fd, const void *buffer, size_t length)


cdef extern from "string.h" nogil:
    void *memmove(void *to, const void *source, size_t length)
    void *memcpy(void *to, const void *source, size_t length)
    int memcmp(const void *one, const void *other, size_t length)
    void *memset(void *to, int value, size_t length)
